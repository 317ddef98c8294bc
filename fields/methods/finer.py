"""`finer`: sines of a varying period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field as Option

from fields.methods.siren import Siren
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from scenes.signal import Signal


class Finer(Siren):
    name = "finer"
    summary = "SIREN whose sines speed up with what goes in; the first biases choose the band"
    paper = "Liu et al. 2024, FINER: Flexible Spectral-bias Tuning in Implicit Neural Representation"

    frequency_option = "first_bias"

    first_bias: float | None = Option(
        None, ge=0, le=1e3, description="k: the first biases are U(-k, k), larger is finer; none: 1 / sqrt(dimensions)"
    )
    through_scale: bool = Option(
        False, description="differentiate the varying period too: for distances, whose slopes are used"
    )

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        # A wave with the bias k is about 2 k + 1 times as fast as one without.
        return [(stretch * (tenth / 5 + 1) - 1) / 2 for tenth in range(31)]  # the authors' grid

    def half_frequency(self, value: float) -> float:
        return max(0.0, ((2 * value + 1) / 2 - 1) / 2)

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        if method.first_bias is None:
            # The framework's default, which the authors use for pictures.
            method = method.model_copy(update={"first_bias": self.axes_of(signal) ** -0.5})
        return method

    def build(self, domain: Domain, channels: Channels, seed: int):
        import torch

        from fields.encoders.frequency import Identity
        from fields.models.field import CoordinateField
        from fields.networks.finer import Finer as Network

        dimensions = domain.dimensions
        network = Network(
            dimensions,
            self.width,
            self.hidden_layers,
            len(channels),
            first_omega=self.first_omega,
            hidden_omega=self.hidden_omega,
            first_bias=self.first_bias,
            through_scale=self.through_scale,
            generator=torch.Generator().manual_seed(seed),
        )
        return CoordinateField(domain, channels, Identity(dimensions), network, scale=0.5, offset=0.5)
