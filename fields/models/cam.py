"""Field of coordinate-aware modulation: its network is modulated by its coordinates (Lee et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fields.models.field import CoordinateField
from fields.networks.cam import ModulatedMLP
from scenes.domain import Channels, Domain


class CamField(CoordinateField):
    """Coords `[..., D]` → encoder → modulated network → values `[..., C]`.

    With `takes_directions` the coords are `[..., D + 2]`, and with `takes_time` `[..., D + 1]`: the azimuth and
    elevation, or the time, come last. They index the grids of the modulation only.
    """

    network: ModulatedMLP

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
        super().__init__(domain, channels, encoder, network, offset=offset)
        self.takes_directions = takes_directions
        self.takes_time = takes_time
        self._extra = 2 * takes_directions + takes_time

    @property
    def backend(self) -> str:
        return self.network.backend

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` of the encoder at `coords`."""
        return self.encoder(coords[..., : -self._extra] if self._extra else coords)

    def faded(self, coords: Tensor, footprint: Tensor) -> Tensor:
        # What indexes the grids of the modulation stays: they are coarse.
        axes = coords.shape[-1] - self._extra
        features = self.encoder(coords[..., :axes], footprint[..., :axes])
        return self.network(features, self._indexing(coords)) + self.offset

    def forward(self, coords: Tensor) -> Tensor:
        return self.network(self.features(coords), self._indexing(coords)) + self.offset

    def penultimate(self, coords: Tensor) -> Tensor:
        """Input of the network's output layer at `coords`, `[..., width]`."""
        return self.network.penultimate(self.features(coords), self._indexing(coords))

    def _indexing(self, coords: Tensor) -> Tensor:
        """The coordinates that index the grids of the modulation."""
        return coords[..., -self._extra :] if self._extra else coords

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        # The grids' coordinates are not those of the features where there are more of them.
        return None if self._extra else self.native_step(self.network, loss)
