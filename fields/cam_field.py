"""A field whose network is modulated by its coordinates."""

from __future__ import annotations

from torch import Tensor, nn

from fields.field import PointField
from fields.networks.cam import ModulatedMLP
from scenes.domain import Channels, Domain


class CamField(PointField):
    """Coords `[..., D]` → encoder → modulated network → values `[..., C]`."""

    def __init__(self, domain: Domain, channels: Channels, encoder: nn.Module, network: ModulatedMLP, offset: float) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.offset = offset

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` at `coords` `[..., D]`."""
        return self.encoder(coords)

    def forward(self, coords: Tensor) -> Tensor:
        return self.network(self.encoder(coords), coords) + self.offset
