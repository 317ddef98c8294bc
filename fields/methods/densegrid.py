"""`densegrid`: dense grids of several resolutions, interpolated multilinearly, then a small ReLU MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod
from fields.ops.factor_layout import FactorLayout, dense_grids
from scenes.domain import Domain

if TYPE_CHECKING:
    import torch

    from fields.encoders.factor_grid import GridInitializer


class DenseGrid(DecodedGridMethod):
    name = "densegrid"
    summary = "dense grids of several resolutions, then a small ReLU MLP; plain and smooth, large in 3-D"
    paper = "multilinear grids as in Sun et al. 2022 (DVGO) and Fang et al. 2023 (PVD's dense grid)"
    dimensions = (1, 2, 3, 4)
    params_per_sample = 1.25
    max_sized_nodes = {1: 1 << 20, 2: 8192, 3: 640, 4: 100}

    learning_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the MLP. Lower it if the loss jumps."
    )
    table_rate: float = Option(2e-2, gt=0, le=1, description="Adam's learning rate for the grids.")
    levels: int = Option(
        4,
        ge=1,
        le=12,
        description="Number of grids, each with half the resolution of the next. More levels give smoother fields.",
    )

    def default_features(self, dimensions: int) -> int:
        # Measured at equal size: images want finer grids, volumes more channels.
        return 2 if dimensions < 3 else 4

    def layout(self) -> FactorLayout:
        return dense_grids(self.features, self.nodes())

    def initializer(self, domain: Domain, generator: torch.Generator) -> GridInitializer:
        return lambda grid, axes: grid.uniform_(-1e-4, 1e-4, generator=generator)
