"""Field of coordinate-aware modulation: its network is modulated by its coordinates (Lee et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from fields.encoders.frequency import FixedEncoding
from fields.models.field import PointField
from fields.networks.cam import ModulatedMLP
from fields.networks.native import StepOptions
from fields.ops.fused_step import Loss
from scenes.domain import Channels, Domain


class CamField(PointField):
    """Coords `[..., D]` → encoder → modulated network → values `[..., C]`.

    With `takes_directions` the coords are `[..., D + 2]`, and with `takes_time` `[..., D + 1]`: the azimuth and
    elevation, or the time, come last. They index the grids of the modulation only.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: nn.Module,
        network: ModulatedMLP,
        *,
        offset: float,
        takes_directions: bool = False,
        takes_time: bool = False,
    ) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.offset = offset
        self.takes_directions = takes_directions
        self.takes_time = takes_time
        self._extra = 2 * takes_directions + takes_time

    @property
    def backend(self) -> str:
        return self.network.backend

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` of the encoder at `coords`."""
        return self.encoder(coords[..., : -self._extra] if self._extra else coords)

    def forward(self, coords: Tensor) -> Tensor:
        indexing = coords[..., -self._extra :] if self._extra else coords
        return self.network(self.features(coords), indexing) + self.offset

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        units = set(self.channels.error_units)
        if len(units) > 1 or self._extra or not isinstance(self.encoder, FixedEncoding):
            return None
        unit = float(units.pop())
        step = self.network.training_step(
            StepOptions(
                encoding=self.encoder.input_encoding(),
                dimensions=self.domain.dimensions,
                loss=cast(Loss, loss),
                value_scale=1.0 / unit,
                value_offset=self.offset / unit,
            )
        )
        if step is None or unit == 1.0:
            return step
        return lambda coords, targets, *weights: step(coords, targets / unit, *weights)
