"""The field of a hash grid and a small MLP, which native code evaluates and trains in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.hash_grid import HashGrid
from fields.models.field import CoordinateField
from fields.networks.mlp import MLP
from fields.ops import backends, tcnn
from fields.ops.fused_step import GridMlpStep, why_not_fused
from fields.ops.grid_mlp import grid_mlp
from fields.ops.mlp import MatmulDtype, why_not_matmul_dtype
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

# From this share of the steps on products are exact: fine detail is learned late, and rounding would cost it 0.15 dB (0.12 with 0.9, 0.06 with 0.5).
EXACT_FROM = 0.6


class GridField(CoordinateField):
    """Coords `[..., D]` → grid features → values `[..., C]`.

    `fused=False` takes grid and network apart and leaves the step to autograd. `matmul_dtype` are the network's, as in `fields.ops.mlp`, in the
    first part of the training; its end, and whoever queries the field, has float32.
    total_variation and absolute weigh penalties on the table, `coarse_to_fine` is the share of the steps by which all levels are open (0: from the start); with any of
    them autograd has the step. accelerator "tcnn" leaves both to tiny-cuda-nn where it can be had, which training demands; the numbers stay this field's own.
    """

    encoder: HashGrid
    network: MLP

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: HashGrid,
        network: MLP,
        fused: bool,
        matmul_dtype: MatmulDtype = "float32",
        accelerator: Literal["tcnn"] | None = None,
        *,
        total_variation: float = 0.0,
        absolute: float = 0.0,
        coarse_to_fine: float = 0.0,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self.total_variation = total_variation
        self.absolute = absolute
        self.coarse_to_fine = coarse_to_fine
        self._step = 0
        self.fused = fused
        self.matmul_dtype = matmul_dtype
        self.accelerator = accelerator
        self._tcnn: tcnn.TcnnModel | None = None
        self._ending = False

    def before_step(self, step: int, total: int | None) -> None:
        super().before_step(step, total)
        self._step = step
        if self.coarse_to_fine:
            self.encoder.set_progress(schedule_progress(step, total, self.coarse_to_fine))
        self._ending = total is not None and step >= EXACT_FROM * total

    def regularisation(self) -> Tensor | None:
        if not (self.total_variation or self.absolute):
            return None
        penalty = self.absolute * self.encoder.table.abs().mean()
        return (
            penalty + self.total_variation * self.encoder.total_variation(self._step)
            if self.total_variation
            else penalty
        )

    @property
    def backend(self) -> str:
        if self.accelerator and not self._why_not_tcnn():
            return "tcnn"
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)

    def _why_not_tcnn(self) -> str | None:
        return tcnn.why_not(self.encoder.layout, self.network.weights, self.encoder.table.device.type)

    def _through_tcnn(self, coords: Tensor) -> Tensor:
        if self._tcnn is None:
            widths = [weight.shape[0] for weight in self.network.weights]
            self._tcnn = tcnn.TcnnModel(
                self.encoder.layout, self.encoder.interpolation, widths[0], len(widths) - 1, widths[-1]
            )
        values = self._tcnn(coords.reshape(-1, coords.shape[-1]), self.encoder.table, self.network.weights)
        return self._scaled(values).reshape(*coords.shape[:-1], values.shape[-1])

    def forward(self, coords: Tensor) -> Tensor:
        if self.accelerator and not backends.tracing() and not self._why_not_tcnn():
            return self._through_tcnn(coords)
        if not self.fused or self.encoder.gates is not None or backends.tracing():
            return super().forward(coords)
        # Only training rounds: a checkpoint is looked at with float32 products, which every machine has.
        matmul_dtype = self.matmul_dtype if torch.is_grad_enabled() and not self._ending else "float32"
        values = grid_mlp(
            coords,
            self.encoder.table,
            self.network.weights,
            self.encoder.layout,
            self.encoder.interpolation,
            matmul_dtype=matmul_dtype,
            backend=self.encoder.requested_backend,
        )
        return self._scaled(values)

    def decode(self, features: Tensor) -> Tensor:
        return self._scaled(super().decode(features))

    def _scaled(self, values: Tensor) -> Tensor:
        units = self.channels.error_units
        return values if set(units) == {1.0} else values * values.new_tensor(units)

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        device = self.encoder.table.device.type
        if self.accelerator:
            if reason := self._why_not_tcnn():
                raise BadInput(f"backend=tcnn: {reason}; use --set backend=auto")
            return None
        if reason := why_not_matmul_dtype(self.matmul_dtype, device):
            raise BadInput(f"matmul_dtype={self.matmul_dtype}: {reason}; use --set matmul_dtype=float32")
        if (
            not self.fused
            or self.total_variation
            or self.absolute
            or self.coarse_to_fine
            or why_not_fused(self.encoder.table, self.network.weights)
        ):
            return None

        def made(matmul_dtype: MatmulDtype) -> GridMlpStep:
            return GridMlpStep(
                self.encoder.table,
                self.network.weights,
                self.encoder.layout,
                self.encoder.interpolation,
                loss,
                matmul_dtype=matmul_dtype,
            )

        current = made(self.matmul_dtype)
        units = self.channels.error_units

        def step(coords: Tensor, targets: Tensor, *weights: Tensor) -> Tensor:
            nonlocal current
            if self._ending and current.kernel.mlp.matmul_dtype != "float32":
                current = made("float32")
            return current(coords, targets if set(units) == {1.0} else targets / targets.new_tensor(units), *weights)

        return step
