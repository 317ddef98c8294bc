"""The field of a hash grid and a small MLP, which native code evaluates and trains in one pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fields.encoders.hash_grid import HashGrid
from fields.field import CoordinateField
from fields.networks.mlp import MLP
from fields.ops import backends
from fields.ops.fused_step import GridMlpStep, grid_mlp_forward, why_not_fused
from scenes.domain import Channels, Domain


class GridField(CoordinateField):
    """Coords `[..., D]` → grid features → values `[..., C]`; `fused=False` leaves everything to autograd."""

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

    def _fusible(self) -> bool:
        return self.fused and why_not_fused(self.encoder.table, self.network.weights, len(self.channels)) is None

    def forward(self, coords: Tensor) -> Tensor:
        if torch.is_grad_enabled() or backends.tracing() or coords.dtype != torch.float32 or not self._fusible():
            return super().forward(coords)
        flat = coords.reshape(-1, coords.shape[-1])
        values = grid_mlp_forward(flat, self.encoder.table, self.encoder.layout, self.network.weights, self.encoder.interpolation)
        return self._scaled(values).reshape(*coords.shape[:-1], -1)

    def decode(self, features: Tensor) -> Tensor:
        return self._scaled(super().decode(features))

    def _scaled(self, values: Tensor) -> Tensor:
        units = self.channels.units
        return values if set(units) == {1.0} else values * values.new_tensor(units)

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        if not self._fusible():
            return None
        step = GridMlpStep(self.encoder.table, self.network.weights, self.encoder.layout, self.encoder.interpolation, loss)
        units = self.channels.units
        if set(units) == {1.0}:
            return step
        return lambda coords, targets, *weights: step(coords, targets / targets.new_tensor(units), *weights)
