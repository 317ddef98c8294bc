"""`frequency`: NeRF's octaves of sines and cosines, then a ReLU MLP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from fields.encoders.sizes import frequency_outputs
from fields.methods.network import ReluMethod
from fields.methods.options import Undecided, undecided
from fields.methods.pace import OCTAVES_PACE
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Samples that an axis with scattered samples counts as.
SCATTERED_SAMPLES = 512
MAX_OCTAVES = 12


class Frequency(ReluMethod):
    name = "frequency"
    summary = "octaves of sines and cosines of each coordinate, then a ReLU MLP (NeRF's encoding)"
    paper = "Mildenhall et al. 2020, NeRF, equation 4"
    dimensions = (1, 2, 3, 4)
    frequency_option = "octaves"
    pace = OCTAVES_PACE
    native_step = True

    octaves: Undecided[int] = undecided(
        "Octaves of sines and cosines per axis; the highest sets the finest detail. "
        "Default: log2(longest side / 4), at most 12.",
        ge=1,
        le=24,
    )

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if self.octaves is not None:
            return method
        # The choice by Nyquist's frequency in SIREN's and WIRE's code: floor(log2(samples / 4)).
        longest = max(n or SCATTERED_SAMPLES for n in signal.domain.shape)
        return method.model_copy(update={"octaves": min(MAX_OCTAVES, int(math.log2(max(8, longest) / 4)))})

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # Up to the Nyquist frequency of the 256 samples that FreSh looks at. On these, a higher octave is constant.
        return list(range(1, 9 + round(math.log2(stretch))))

    def half_frequency(self, value: float) -> float:
        return value - 1

    def parameters(self, dimensions: int, channels: int) -> int:
        inputs = frequency_outputs(dimensions, self.octaves)
        return mlp_parameters(inputs, self.width, self.hidden_layers, channels, bias=True)

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Frequency as Encoder
        from fields.models.field import CoordinateField
        from fields.networks.mlp import MLP

        generator = torch.Generator().manual_seed(seed)
        encoder = Encoder(domain.dimensions, self.octaves)
        network = MLP(encoder.outputs, self.width, self.hidden_layers, len(channels), bias=True, generator=generator)
        return CoordinateField(domain, channels, encoder, network, offset=0.5)
