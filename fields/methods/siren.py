"""`siren`: an MLP of sines on the coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field as Option

from fields.methods.network import NetworkMethod, detail
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
# Images: the first frequency as a multiple of the spectrum's mean frequency in cycles across the image. Pi times it
# makes the fastest sine along an axis as fast as that mean (which FreSh comes to). At 384 x 256 pixels, 908 steps of
# 2,048: Kodak's 5 (mean 31) reaches 25.1 dB with 30, 27.8 with 60, 30.2 with 100 and 32.1 with 200, of a tenth that was
# held out 24.4 with 100 and 22.7 with 200; Kodak's 23 (mean 23) 31.4 with 30, 35.4 with 100 and 36.8 with 200, held out
# 30.0 with 30, 31.0 with 70, 31.5 with 140; scikit-image's moon (mean 27) held out 37.9, 39.7 with 80 and with 160.
TIMES_MEAN = 4.0
# Few sines cannot fill a wide band: the mean counts up to this, times the root of the width. FreSh's experiments with
# 64 units have their best at 60 for a mean of 25.
MEAN_PER_ROOT = 1.9
# Learning rate of up to 64 units, and the power of the width by which that of wider networks is lower. 256 units on the
# whole of Kodak's 5, 907 steps of 8,192: 18.0 dB at 6e-4, 27.2 at 3.5e-4.
RATE, RATE_WIDTH, RATE_POWER = 1e-3, 64, 2 / 3


class Siren(NetworkMethod):
    name = "siren"
    summary = "MLP of sines on the bare coordinates; smooth, compact, slow to learn detail"
    paper = "Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions"
    dimensions = (1, 2, 3, 4)
    frequency_option = "first_omega"
    native_step = True
    pace = SINE_PACE
    # The first frequency of images, as a multiple of their mean frequency.
    times_mean: ClassVar[float] = TIMES_MEAN

    learning_rate: Undecided[float] = undecided(
        "Adam's learning rate. Lower it if the loss jumps, raise it for short fits. Default: 1e-3 for up to 64 units, "
        "less for wider networks (4e-4 for 256).",
        gt=0,
        le=1,
    )
    first_omega: Undecided[float] = undecided(
        "Frequency of the first layer's sines. Raise it for finer detail. Default: 30, more for detailed images, or "
        "3000 for audio.",
        gt=0,
        le=1e5,
    )
    hidden_omega: float = Option(30.0, gt=0, le=1e3, description="Frequency of the other layers' sines.")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        update: dict[str, float] = {}
        if self.learning_rate is None:
            update["learning_rate"] = float(f"{RATE * min(1.0, RATE_WIDTH / self.width) ** RATE_POWER:.2g}")
        if self.first_omega is None:
            update["first_omega"] = self._first_omega(signal)
        return method.model_copy(update=update)

    def _first_omega(self, signal: Signal) -> float:
        """The first frequency for a signal: that of the authors, and for images one that follows from the spectrum."""
        if signal.domain.is_time_series:
            return FIRST_OMEGA_TIME_SERIES
        if signal.kind != "image":
            return FIRST_OMEGA
        mean = min(detail(signal), MEAN_PER_ROOT * math.sqrt(self.width))
        return max(FIRST_OMEGA, round(self.times_mean * mean, 1))

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
