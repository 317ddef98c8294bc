"""Field of a hash grid and a small network, which native code evaluates and trains in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.hash_grid import HashGrid
from fields.models.field import CoordinateField
from fields.networks.mlp import MLP
from fields.ops import backends, tcnn
from fields.ops.fused_step import GridMlpStep, Loss, why_not_fused
from fields.ops.grid_mlp import grid_mlp
from fields.ops.mlp import MatmulDtype, why_not_matmul_dtype
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

# Fraction of the steps from which on matrix products are float32 again. Fine detail is learned late: reduced precision
# to the end costs 0.15 dB (0.12 dB with a fraction of 0.9, 0.06 dB with 0.5).
FLOAT32_FROM = 0.6


class GridField(CoordinateField):
    """Coords `[..., D]` → features of the hash grid → values `[..., C]`.

    Args:
        domain: as in `Field`.
        channels: as in `Field`.
        encoder: the hash grid.
        network: features → values. The fused step, `matmul_dtype` and the accelerator need an `MLP`.
        fused: evaluate and train grid and network in one native pass. Without it they are evaluated one after the
            other, and autograd does the training step.
        matmul_dtype: precision of the network's matrix products in the first part of the training, as in
            `fields.ops.mlp`. Its end has float32, and so have all queries outside of training.
        accelerator: "tcnn" leaves grid and network to tiny-cuda-nn where it is available, and refuses to train where it
            is not. The parameters stay those of this field.
        total_variation: weight of the table's total variation in the loss.
        l1: weight of the mean absolute value of the table in the loss.
        coarse_to_fine: fraction of the steps at which all levels are in full use; 0 for all levels from the start.

    With a penalty or a coarse-to-fine schedule autograd does the training step.
    """

    encoder: HashGrid

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: HashGrid,
        network: nn.Module,
        *,
        fused: bool,
        matmul_dtype: MatmulDtype = "float32",
        accelerator: Literal["tcnn"] | None = None,
        total_variation: float = 0.0,
        l1: float = 0.0,
        coarse_to_fine: float = 0.0,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self.total_variation = total_variation
        self.l1 = l1
        self.coarse_to_fine = coarse_to_fine
        self.fused = fused
        self.matmul_dtype = matmul_dtype
        self.accelerator = accelerator
        self._step = 0
        # Whether the training has come to its last part, with products in float32.
        self._ending = False
        self._tcnn: tcnn.TcnnModel | None = None

    @property
    def _mlp(self) -> MLP:
        """The network, where it has to be an MLP."""
        assert isinstance(self.network, MLP)
        return self.network

    def before_step(self, step: int, total: int | None) -> None:
        super().before_step(step, total)
        self._step = step
        if self.coarse_to_fine:
            self.encoder.set_progress(schedule_progress(step, total, self.coarse_to_fine))
        self._ending = total is not None and step >= FLOAT32_FROM * total

    def regularisation(self) -> Tensor | None:
        if not (self.total_variation or self.l1):
            return None
        penalty = self.l1 * self.encoder.table.abs().mean()
        if self.total_variation:
            penalty = penalty + self.total_variation * self.encoder.total_variation(self._step)
        return penalty

    @contextmanager
    def training_precision(self) -> Iterator[None]:
        # `forward` decides, and for the products of all matrices.
        yield

    @property
    def backend(self) -> str:
        if self.accelerator and not self._why_not_tcnn():
            return "tcnn"
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)

    def forward(self, coords: Tensor) -> Tensor:
        if self.accelerator and not backends.tracing() and not self._why_not_tcnn():
            return self._evaluate_with_tcnn(coords)
        if not self.fused or self.encoder.gates is not None or backends.tracing():
            return super().forward(coords)
        # Reduced precision is for training alone: a checkpoint is evaluated in float32, which every machine has.
        matmul_dtype = self.training_dtype if torch.is_grad_enabled() and not self._ending else "float32"
        values = grid_mlp(
            coords,
            self.encoder.table,
            self._mlp.weights,
            self.encoder.layout,
            interpolation=self.encoder.interpolation,
            matmul_dtype=matmul_dtype,
            backend=self.encoder.requested_backend,
        )
        return self._times_error_units(values)

    def decode(self, features: Tensor) -> Tensor:
        return self._times_error_units(super().decode(features))

    def _times_error_units(self, values: Tensor) -> Tensor:
        """Outputs of the network, which learns all channels in units of their errors, as values of the signal."""
        units = self.channels.error_units
        return values if set(units) == {1.0} else values * values.new_tensor(units)

    def _why_not_tcnn(self) -> str | None:
        """Why tiny-cuda-nn cannot evaluate this field; None where it can."""
        return tcnn.why_not(self.encoder.layout, self._mlp.weights, self.encoder.table.device.type)

    def _evaluate_with_tcnn(self, coords: Tensor) -> Tensor:
        weights = self._mlp.weights
        if self._tcnn is None:
            widths = [weight.shape[0] for weight in weights]
            self._tcnn = tcnn.TcnnModel(
                self.encoder.layout,
                interpolation=self.encoder.interpolation,
                width=widths[0],
                hidden_layers=len(widths) - 1,
                outputs=widths[-1],
            )
        values = self._tcnn(coords.reshape(-1, coords.shape[-1]), self.encoder.table, weights)
        return self._times_error_units(values).reshape(*coords.shape[:-1], values.shape[-1])

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        if self.accelerator:
            if reason := self._why_not_tcnn():
                raise BadInput(f"backend=tcnn: {reason}; use `backend=auto`")
            return None
        if reason := why_not_matmul_dtype(self.training_dtype, self.encoder.table.device.type):
            raise BadInput(f"matmul_dtype={self.matmul_dtype}: {reason}; use `matmul_dtype=float32`")
        if (
            not self.fused
            or self.total_variation
            or self.l1
            or self.coarse_to_fine
            or why_not_fused(self.encoder.table, self._mlp.weights)
        ):
            return None

        def make_step(matmul_dtype: MatmulDtype) -> GridMlpStep:
            return GridMlpStep(
                self.encoder.table,
                self._mlp.weights,
                self.encoder.layout,
                interpolation=self.encoder.interpolation,
                loss=cast(Loss, loss),
                matmul_dtype=matmul_dtype,
            )

        current = make_step(self.training_dtype)
        units = self.channels.error_units

        def step(coords: Tensor, targets: Tensor, *weights: Tensor) -> Tensor:
            nonlocal current
            if self._ending and current.kernel.mlp.matmul_dtype != "float32":
                current = make_step("float32")
            return current(coords, targets if set(units) == {1.0} else targets / targets.new_tensor(units), *weights)

        return step
