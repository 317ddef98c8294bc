"""`finer`: an MLP of sines of variable period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.options import Undecided, undecided
from fields.methods.siren import Siren
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal


class Finer(Siren):
    name = "finer"
    summary = "SIREN whose sines speed up with what goes in; the first biases choose the band"
    paper = "Liu et al. 2024, FINER: Flexible Spectral-bias Tuning in Implicit Neural Representation"

    frequency_option = "first_bias"
    # Its sines are up to 2.4 times as fast as their frequency says, by |z| + 1. Kodak's 5 as for SIREN: 27.7 dB with
    # 30, 30.8 with 60, 32.1 with 100; of a tenth that was held out 24.2, 24.0, 22.7.
    times_mean = 2.0

    first_bias: Undecided[float] = undecided(
        "Bound k of the first layer's biases, U(-k, k). Raise it for finer detail. Default: 1 / sqrt(dimensions).",
        ge=0,
        le=1e3,
    )
    through_scale: bool = Option(
        False,
        description="Differentiate the variable period too. Needed where slopes of the field are used, as of "
        "distances.",
    )

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # FreSh's grid for FINER, 0 to 3 in tenths, for a stretch of 1. A wave with the bias k has about 2 k + 1 times
        # the frequency of one without.
        return [(stretch * (tenth / 5 + 1) - 1) / 2 for tenth in range(31)]

    def half_frequency(self, value: float) -> float:
        return max(0.0, ((2 * value + 1) / 2 - 1) / 2)

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if self.first_bias is not None:
            return method
        # Torch's default for the biases of a layer, which the authors use for images.
        return method.model_copy(update={"first_bias": self.axes_of(signal) ** -0.5})

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Identity
        from fields.models.field import CoordinateField
        from fields.networks.finer import Finer as Network

        network = Network(
            domain.dimensions,
            self.width,
            self.hidden_layers,
            len(channels),
            first_omega=self.first_omega,
            hidden_omega=self.hidden_omega,
            first_bias=self.first_bias,
            through_scale=self.through_scale,
            generator=torch.Generator().manual_seed(seed),
        )
        return CoordinateField(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
