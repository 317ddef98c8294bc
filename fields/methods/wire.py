"""`wire`: an MLP of complex Gabor wavelets."""

from __future__ import annotations

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from scenes.domain import Channels, Domain


class Wire(NetworkMethod):
    name = "wire"
    summary = "MLP of complex Gabor wavelets; local in space and frequency, works in a narrow window of rates"
    paper = "Saragadam et al. 2023, WIRE: Wavelet Implicit Neural Representations"
    dimensions = (1, 2, 3, 4)
    frequency_option = "omega"
    guarded = True

    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size; fails above about 1e-2")
    width: int = Option(
        181, ge=1, le=8192, description="complex units a hidden layer (181 have the numbers of 256 real ones)"
    )
    hidden_layers: int = Option(3, ge=1, le=32, description="hidden layers")
    omega: float = Option(20.0, gt=0, le=1e4, description="frequency of the wavelets")
    scale: float = Option(10.0, gt=0, le=1e4, description="inverse width of the wavelets")

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return [stretch * omega for omega in range(2, 61, 2)]  # (the authors give no grid for it)

    def parameters(self, dimensions: int, channels: int) -> int:
        width, layers = self.width, self.hidden_layers
        hidden = (layers - 1) * 2 * (width * width + width)
        return dimensions * width + width + hidden + 2 * width * channels + channels

    def build(self, domain: Domain, channels: Channels, seed: int):
        import torch

        from fields.encoders.frequency import Identity
        from fields.models.field import CoordinateField
        from fields.networks.wire import Wire as Network

        network = Network(
            domain.dimensions,
            self.width,
            self.hidden_layers,
            len(channels),
            omega=self.omega,
            scale=self.scale,
            generator=torch.Generator().manual_seed(seed),
        )
        return CoordinateField(domain, channels, Identity(domain.dimensions), network, offset=0.5)
