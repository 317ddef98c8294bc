"""`densegrid`: whole grids of several resolutions, interpolated multilinearly, then a small ReLU MLP."""

from __future__ import annotations

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod
from fields.ops.factor_layout import FactorLayout, dense_grids


class DenseGrid(DecodedGridMethod):
    name = "densegrid"
    summary = "dense grids of several resolutions, then a small ReLU MLP; plain and smooth, large in 3-D"
    paper = "multilinear grids as in Sun et al. 2022 (DVGO) and Fang et al. 2023 (PVD's dense grid)"
    dimensions = (1, 2, 3, 4)
    params_per_sample = 1.25
    finest = {1: 1 << 20, 2: 8192, 3: 640, 4: 100}

    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size for the MLP")
    table_rate: float = Option(2e-2, gt=0, le=1, description="Adam's step size for the grids")
    levels: int = Option(4, ge=1, le=12, description="grids of half the resolution each, coarse to fine, side by side")

    def default_features(self, dimensions: int) -> int:
        # Measured at equal size: pictures want finer grids, volumes more channels.
        return 2 if dimensions < 3 else 4

    def layout(self) -> FactorLayout:
        return dense_grids(self.features, self.nodes())

    def start(self, domain, generator):
        return lambda grid, axes: grid.uniform_(-1e-4, 1e-4, generator=generator)
