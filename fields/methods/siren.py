"""`siren`: an MLP of sines on the coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from fields.methods.options import Undecided, undecided
from fields.methods.pace import SINE_PACE
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# The authors have 30 for all signals. For audio they scale the coordinates to [-100, 100]; ours are in [-1, 1].
FIRST_OMEGA = 30.0
FIRST_OMEGA_TIME_SERIES = 3000.0


class Siren(NetworkMethod):
    name = "siren"
    summary = "MLP of sines on the bare coordinates; smooth, compact, slow to learn detail"
    paper = "Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions"
    dimensions = (1, 2, 3, 4)
    frequency_option = "first_omega"
    native_step = True
    pace = SINE_PACE

    first_omega: Undecided[float] = undecided(
        "Frequency of the first layer's sines. Raise it for finer detail. Default: 30, or 3000 for audio.",
        gt=0,
        le=1e5,
    )
    hidden_omega: float = Option(30.0, gt=0, le=1e3, description="Frequency of the other layers' sines.")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if self.first_omega is not None:
            return method
        omega = FIRST_OMEGA_TIME_SERIES if signal.domain.is_time_series else FIRST_OMEGA
        return method.model_copy(update={"first_omega": omega})

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # FreSh's grid for SIREN.
        return [stretch * omega for omega in range(10, 201, 10)]

    def parameters(self, dimensions: int, channels: int) -> int:
        return mlp_parameters(dimensions, self.width, self.hidden_layers, channels, bias=True)

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Identity
        from fields.models.field import CoordinateField
        from fields.networks.siren import Siren as Network

        network = Network(
            domain.dimensions,
            self.width,
            self.hidden_layers,
            len(channels),
            first_omega=self.first_omega,
            hidden_omega=self.hidden_omega,
            generator=torch.Generator().manual_seed(seed),
        )
        # SIREN's targets are in [-1, 1], as in the official code.
        return CoordinateField(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
