"""`fourier`: random Fourier features, then a ReLU MLP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.network import ReluMethod, detail
from fields.methods.options import Undecided, undecided
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Standard deviation of the frequencies, and for images as a multiple of the spectrum's mean frequency: the features
# then have that mean. Kodak's 5 at 384 x 256 pixels (mean 31), 330 steps of 2,048 points: 25.1 dB with 10, 27.8
# with 20.
SIGMA = 10.0
TIMES_MEAN = 0.63
# Few features cannot fill a wide band: at most this, times the root of their number.
PER_ROOT = 1.25


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
    sigma: Undecided[float] = undecided(
        "Standard deviation of the frequencies, in cycles across the signal. Raise it for finer detail, "
        "lower it against noise between the samples. Default: 10, more for detailed images.",
        gt=0,
        le=1e5,
    )

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if self.sigma is not None:
            return method
        return method.model_copy(update={"sigma": self._sigma(signal)})

    def _sigma(self, signal: Signal) -> float:
        if signal.kind != "image":
            return SIGMA
        return max(SIGMA, round(min(TIMES_MEAN * detail(signal), PER_ROOT * math.sqrt(self.frequencies)), 1))

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
