"""`kplanes`: the product of the planes of all pairs of axes at several resolutions, then a small MLP; with time or without."""

from __future__ import annotations

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod
from fields.ops.factor_layout import FactorLayout, k_planes
from scenes.domain import Domain


class KPlanes(DecodedGridMethod):
    name = "kplanes"
    summary = "product of the planes of all pairs of axes, several resolutions: volumes, clips, moving volumes"
    paper = "Fridovich-Keil et al. 2023, K-Planes: Explicit Radiance Fields in Space, Time, and Appearance"
    factors = 3
    dimensions = (3, 4)
    why_dimensions = "two axes have one plane only, which is densegrid"
    moves = "axis"

    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size for the MLP")
    table_rate: float = Option(3e-2, gt=0, le=1, description="Adam's step size for the planes")
    levels: int = Option(
        3, ge=1, le=12, description="sets of planes of half the resolution each, coarse to fine, side by side"
    )
    most_nodes = 512

    def default_features(self, dimensions: int) -> int:
        return 16

    def layout(self) -> FactorLayout:
        return k_planes(self.features, self.nodes())

    def start(self, domain: Domain, generator):
        def fill(grid, axes):
            # Planes with time begin as "nothing changes" (section 3.2 of the paper and its code).
            if self.at_rest(domain)(axes):
                grid.fill_(1.0)
            else:
                grid.uniform_(0.1, 0.5, generator=generator)

        return fill

    def at_rest(self, domain: Domain):
        time = {i for i, axis in enumerate(domain.axes) if axis.unit == "s" or axis.name in ("t", "time")}
        return lambda axes: 1.0 if time.intersection(axes) else 0.0
