"""A field whose network is modulated by its coordinates."""

from __future__ import annotations

from torch import Tensor, nn

from fields.models.field import PointField
from fields.networks.cam import ModulatedMLP
from scenes.domain import Channels, Domain


class CamField(PointField):
    """Coords `[..., D]` → encoder → modulated network → values `[..., C]`.

    One that `sees_directions` takes coords `[..., D + 2]`: azimuth and elevation, which only index the grids, come last. So does the time of one that
    `sees_times`: coords `[..., D + 1]`.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: nn.Module,
        network: ModulatedMLP,
        offset: float,
        sees_directions: bool = False,
        sees_times: bool = False,
    ) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.offset = offset
        self.sees_directions = sees_directions
        self.sees_times = sees_times
        self.beside = 2 * sees_directions + sees_times

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` at `coords` `[..., D]`."""
        return self.encoder(coords[..., : -self.beside] if self.beside else coords)

    def forward(self, coords: Tensor) -> Tensor:
        return self.network(self.features(coords), coords[..., -self.beside :] if self.beside else coords) + self.offset
