"""`triplane`: three planes of features, and a SIREN that also sees the position."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.grids import GridMethod, side_by_side
from fields.networks.sizes import mlp_parameters
from fields.ops.factor_layout import FactorLayout, tri_plane

if TYPE_CHECKING:
    from scenes.signal import Signal


class TriPlane(GridMethod):
    name = "triplane"
    summary = "three planes of features and a small SIREN: a shape as three pictures, which other networks can read"
    paper = "Cardace et al. 2024, Neural Processing of Tri-Plane Hybrid Neural Fields"
    factors = 3
    dimensions = (3,)
    why_dimensions = "its three planes are the pairs of three axes"
    frequency_option = "octaves"

    table_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's step size for the planes; the paper's is 1e-4 for both"
    )
    resolution: int = Option(32, ge=2, le=1 << 20, description="nodes along the longest axis of a plane")
    combine: Literal["sum", "product", "concat"] = Option(
        "sum", description="what the decoder gets of the three planes' features"
    )
    octaves: int | None = Option(
        None,
        ge=0,
        le=24,
        description="frequencies 2^k of the position that the decoder sees; none: the paper's 10, fewer for coarse samples",
    )
    omega: float = Option(30.0, gt=0, le=1e4, description="frequency of the sines")
    hidden_layers: int = Option(3, ge=1, le=16, description="hidden layers of the SIREN")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if method.octaves is None:
            # At most a quarter of the samples' frequency; between the samples faster waves would be free to do anything.
            counts = [n for n in signal.domain.shape if n]
            most = 1 + int(math.log2(max(1.0, math.pi * max(counts) / 8))) if counts else 10
            method = method.model_copy(update={"octaves": min(10, most)})
        return method

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return list(range(1, 9))  # (the next, 2^8 / pi cycles across, is more than FreSh's 132 samples show)

    def half_frequency(self, value: float) -> float:
        return value - 1

    def default_features(self, dimensions: int) -> int:
        return 16

    def layout(self) -> FactorLayout:
        return side_by_side([tri_plane(self.features, nodes, self.combine) for nodes in self.nodes()])

    def network_inputs(self) -> int:
        return self.layout().outputs + frequency_outputs(3, self.octaves)

    def network_parameters(self, channels: int) -> int:
        return mlp_parameters(self.network_inputs(), self.width, self.hidden_layers, channels, bias=True)

    def start(self, domain, generator):
        if self.combine == "product":  # of almost nothing, the gradient is almost nothing: K-Planes' start
            return lambda grid, axes: grid.uniform_(0.1, 0.5, generator=generator)
        return lambda grid, axes: grid.normal_(0.0, 1e-3, generator=generator)

    def encoder(self, domain, generator):
        from fields.encoders.tri_plane import TriPlane as Encoder

        return Encoder(super().encoder(domain, generator), self.octaves)

    def network(self, channels: int, generator):
        from fields.networks.siren import Siren

        return Siren(
            self.network_inputs(),
            self.width,
            self.hidden_layers,
            channels,
            first_omega=self.omega,
            hidden_omega=self.omega,
            generator=generator,
        )
