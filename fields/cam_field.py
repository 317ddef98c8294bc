"""A field whose network is modulated by its coordinates."""

from __future__ import annotations

from torch import Tensor, nn

from fields.field import PointField
from fields.networks.cam import ModulatedMLP
from scenes.domain import Channels, Domain


class CamField(PointField):
    """Coords `[..., D]` → encoder → modulated network → values `[..., C]`.

    One that `sees_directions` takes coords `[..., D + 2]`: azimuth and elevation, which only index the grids, come last.
    """

    def __init__(self, domain: Domain, channels: Channels, encoder: nn.Module, network: ModulatedMLP, offset: float,
                 sees_directions: bool = False) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.offset = offset
        self.sees_directions = sees_directions

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` at `coords` `[..., D]`."""
        return self.encoder(coords[..., :-2] if self.sees_directions else coords)

    def forward(self, coords: Tensor) -> Tensor:
        return self.network(self.features(coords), coords[..., -2:] if self.sees_directions else coords) + self.offset
