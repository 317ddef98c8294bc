"""`triplane`: three planes of features, then a SIREN that also gets the position."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.grids import MAX_RESOLUTION, GridMethod, join_levels
from fields.methods.options import Undecided, undecided
from fields.networks.sizes import mlp_parameters
from fields.ops.factor_layout import FactorLayout, tri_plane
from scenes.domain import Domain

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fields.encoders.factor_grid import GridInitializer
    from fields.encoders.tri_plane import TriPlane as Encoder
    from scenes.signal import Signal

# The paper's, which is the most that is decided from a signal.
OCTAVES = 10


class TriPlane(GridMethod):
    name = "triplane"
    summary = "three planes of features and a small SIREN: a shape as three images, which other networks can read"
    paper = "Cardace et al. 2024, Neural Processing of Tri-Plane Hybrid Neural Fields"
    factors = 3
    dimensions = (3,)
    why_dimensions = "its three planes are the pairs of three axes"
    frequency_option = "octaves"

    table_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the planes. The paper has 1e-4 for planes and SIREN."
    )
    resolution: int = Option(32, ge=2, le=MAX_RESOLUTION, description="Nodes along the longest axis of a plane.")
    combine: Literal["sum", "product", "concat"] = Option(
        "sum", description="How the features of the three planes become the SIREN's input."
    )
    octaves: Undecided[int] = undecided(
        "Octaves of the position that the SIREN gets. Default: the paper's 10, fewer for coarse samples.", ge=0, le=24
    )
    omega: float = Option(30.0, gt=0, le=1e4, description="Frequency of the SIREN's sines.")
    hidden_layers: int = Option(3, ge=1, le=16, description="Number of hidden layers of the SIREN.")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if self.octaves is not None:
            return method
        # At most a quarter of the samples' frequency. Higher frequencies would be undetermined between the samples.
        counts = [n for n in signal.domain.shape if n]
        most = 1 + int(math.log2(max(1.0, math.pi * max(counts) / 8))) if counts else OCTAVES
        return method.model_copy(update={"octaves": min(OCTAVES, most)})

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # The next octave, 2^8 / pi cycles across, is more than FreSh's 132 samples show.
        return list(range(1, 9))

    def half_frequency(self, value: float) -> float:
        return value - 1

    def default_features(self, dimensions: int) -> int:
        return 16

    def layout(self) -> FactorLayout:
        return join_levels([tri_plane(self.features, nodes, self.combine) for nodes in self.nodes()])

    def network_inputs(self) -> int:
        return self.layout().outputs + frequency_outputs(3, self.octaves)

    def network_parameters(self, channels: int) -> int:
        return mlp_parameters(self.network_inputs(), self.width, self.hidden_layers, channels, bias=True)

    def initializer(self, domain: Domain, generator: torch.Generator) -> GridInitializer:
        if self.combine == "product":
            # Products of values near zero have almost no gradient; this is K-Planes' start.
            return lambda grid, axes: grid.uniform_(0.1, 0.5, generator=generator)
        return lambda grid, axes: grid.normal_(0.0, 1e-3, generator=generator)

    def encoder(self, domain: Domain, generator: torch.Generator) -> Encoder:
        from fields.encoders.tri_plane import TriPlane as Encoder

        return Encoder(self.grid(domain, generator), self.octaves)

    def network(self, channels: int, generator: torch.Generator) -> nn.Module:
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
