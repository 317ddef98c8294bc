"""`siren`: an MLP of sines on the bare coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from scenes.signal import Signal


class Siren(NetworkMethod):
    name = "siren"
    summary = "MLP of sines on the bare coordinates; smooth, compact, slow to learn detail"
    paper = "Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions"
    dimensions = (1, 2, 3, 4)
    frequency_option = "first_omega"

    first_omega: float | None = Option(
        None,
        gt=0,
        le=1e5,
        description="frequency of the first layer, raise it for fine detail; none: 30, for sounds 3000",
    )
    hidden_omega: float = Option(30.0, gt=0, le=1e3, description="frequency of the other layers")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if method.first_omega is None:
            # The authors'; they have 30 for sounds too, on coordinates from -100 to 100.
            method = method.model_copy(update={"first_omega": 3000.0 if signal.kind == "audio" else 30.0})
        return method

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return [stretch * omega for omega in range(10, 201, 10)]  # the authors' grid

    def parameters(self, dimensions: int, channels: int) -> int:
        return mlp_parameters(dimensions, self.width, self.hidden_layers, channels, bias=True)

    def build(self, domain: Domain, channels: Channels, seed: int):
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
        # SIREN's targets are in [-1, 1] (the official code's convention).
        return CoordinateField(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
