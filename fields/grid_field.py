"""The field of a hash grid and a small MLP, which the native code evaluates and trains in one pass."""

from __future__ import annotations

from fields.encoders.hash_grid import HashGrid
from fields.field import CoordinateField
from fields.networks.mlp import MLP
from fields.ops import backends
from scenes.domain import Channels, Domain


class GridField(CoordinateField):
    """Coords `[..., D]` → grid features → values `[..., C]`."""

    encoder: HashGrid
    network: MLP

    def __init__(self, domain: Domain, channels: Channels, encoder: HashGrid, network: MLP, fused: bool) -> None:
        super().__init__(domain, channels, encoder, network)
        self.fused = fused

    @property
    def backend(self) -> str:
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)
