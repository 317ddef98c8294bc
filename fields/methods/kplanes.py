"""`kplanes`: the product of the planes of all pairs of axes at several resolutions, then a small MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod
from fields.ops.factor_layout import FactorLayout, k_planes
from scenes.domain import Domain

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fields.encoders.factor_grid import GridInitializer


class KPlanes(DecodedGridMethod):
    name = "kplanes"
    summary = "product of the planes of all pairs of axes, several resolutions: volumes, videos, moving volumes"
    paper = "Fridovich-Keil et al. 2023, K-Planes: Explicit Radiance Fields in Space, Time, and Appearance"
    factors = 3
    dimensions = (3, 4)
    why_dimensions = "two axes have one plane only, which is densegrid"
    motion_by_default = "axis"
    max_nodes = 512

    learning_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the MLP. Lower it if the loss jumps."
    )
    table_rate: float = Option(3e-2, gt=0, le=1, description="Adam's learning rate for the planes.")
    levels: int = Option(
        3,
        ge=1,
        le=12,
        description="Number of sets of planes, each with half the resolution of the next. More levels give smoother "
        "fields.",
    )

    def default_features(self, dimensions: int) -> int:
        return 16

    def layout(self) -> FactorLayout:
        return k_planes(self.features, self.nodes())

    def initializer(self, domain: Domain, generator: torch.Generator) -> GridInitializer:
        rest_value = self.rest_value(domain)

        def fill(grid: Tensor, axes: tuple[int, ...]) -> None:
            # Planes with time start at 1, which is "nothing changes" (section 3.2 of the paper and its code).
            if rest_value(axes):
                grid.fill_(1.0)
            else:
                grid.uniform_(0.1, 0.5, generator=generator)

        return fill

    def rest_value(self, domain: Domain) -> Callable[[tuple[int, ...]], float]:
        time = {index for index, axis in enumerate(domain.axes) if axis.is_time}
        return lambda axes: 1.0 if time.intersection(axes) else 0.0
