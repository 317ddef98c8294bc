"""`fourier`: random Fourier features, then a ReLU MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.network import ReluMethod
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field


class Fourier(ReluMethod):
    name = "fourier"
    summary = "random Fourier features (frozen Gaussian frequencies), then a ReLU MLP"
    paper = "Tancik et al. 2020, Fourier Features Let Networks Learn High Frequency Functions"
    dimensions = (1, 2, 3, 4)
    size_options = ("width", "hidden_layers", "frequencies")
    frequency_option = "sigma"
    native_step = True

    frequencies: int = Option(
        256, ge=1, le=65536, description="Number of random frequencies; each gives a sine and a cosine."
    )
    sigma: float = Option(
        10.0,
        gt=0,
        le=1e5,
        description="Standard deviation of the frequencies, in cycles across the signal. Raise it for finer detail, "
        "lower it against noise between the samples.",
    )

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # The authors' grid. Their sigma is per unit of [-1, 1], half of ours.
        return [stretch * 2.0 * sigma for sigma in range(1, 21)]

    def with_width(self, width: int) -> Self:
        frequencies = max(1, round(self.frequencies * width / self.width))
        return self.model_copy(update={"width": width, "frequencies": frequencies})

    def parameters(self, dimensions: int, channels: int) -> int:
        network = mlp_parameters(2 * self.frequencies, self.width, self.hidden_layers, channels, bias=True)
        return dimensions * self.frequencies + network

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Fourier as Encoder
        from fields.models.field import CoordinateField
        from fields.networks.mlp import MLP

        generator = torch.Generator().manual_seed(seed)
        encoder = Encoder(domain.dimensions, self.frequencies, self.sigma, generator)
        network = MLP(encoder.outputs, self.width, self.hidden_layers, len(channels), bias=True, generator=generator)
        return CoordinateField(domain, channels, encoder, network, offset=0.5)
