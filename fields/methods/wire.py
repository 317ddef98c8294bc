"""`wire`: an MLP of complex Gabor wavelets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from fields.methods.pace import WAVELET_PACE
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field


class Wire(NetworkMethod):
    name = "wire"
    summary = "MLP of complex Gabor wavelets; local in space and frequency, works in a narrow window of rates"
    paper = "Saragadam et al. 2023, WIRE: Wavelet Implicit Neural Representations"
    dimensions = (1, 2, 3, 4)
    frequency_option = "omega"
    native_step = True
    pace = WAVELET_PACE
    native_width = 2
    guarded = True

    learning_rate: float = Option(
        5e-3,
        gt=0,
        le=1,
        description="Adam's learning rate. Training fails above about 1e-2; lower it if the loss jumps.",
    )
    width: int = Option(
        256,
        ge=1,
        le=8192,
        description="Complex units per hidden layer.",
    )
    hidden_layers: int = Option(
        2, ge=1, le=32, description="Number of hidden layers. With 3, as the authors have it, short fits learn little."
    )
    omega: float = Option(20.0, gt=0, le=1e4, description="Frequency of the wavelets. Raise it for finer detail.")
    scale: float = Option(10.0, gt=0, le=1e4, description="Inverse width of the wavelets. Raise it for sharper edges.")

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # FreSh's authors give no grid for WIRE.
        return [stretch * omega for omega in range(2, 61, 2)]

    def parameters(self, dimensions: int, channels: int) -> int:
        width, layers = self.width, self.hidden_layers
        hidden = (layers - 1) * 2 * (width * width + width)
        return dimensions * width + width + hidden + 2 * width * channels + channels

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
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
