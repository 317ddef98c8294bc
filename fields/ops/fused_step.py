"""Loss and gradients of a training step of a hash grid and a small MLP, in one native pass. float32 on the CPU.

One tile of points after another goes through grid, MLP and loss, and back. Activations never leave the tile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import GridMlpKernel, grid_mlp_reference
from fields.ops.hash_grid import Interpolation, check_hash_grid
from fields.ops.mlp import (
    Activation,
    ActivationShape,
    MatmulDtype,
    MlpKernel,
    check_names,
    check_weights,
    why_not_matmul_dtype,
    why_not_native_mlp,
)

Loss = Literal["l1", "l2", "relative_l2"]
# Their numbers in csrc/cpu/fused_step.h are their positions here.
LOSSES = ("l1", "l2", "relative_l2")
# Added to the squared values by which the relative loss divides (Müller et al. 2022).
RELATIVE_L2_EPSILON = 0.01


def why_not_fused(
    table: Tensor, weights: Sequence[Tensor], matmul_dtype: MatmulDtype = "float32", activation: Activation = "relu"
) -> str | None:
    """Reason why the native pass cannot train this table and MLP, in one line, or None if it can."""
    if backends.device_type(table) != "cpu":
        return "the fused step runs on the CPU"
    if reason := cuda_ext.why_absent("cpu"):
        return reason
    if any(w.dtype != torch.float32 for w in (table, *weights)):
        return "the fused step computes in float32"
    return why_not_native_mlp(weights, activation) or why_not_matmul_dtype(matmul_dtype)


class GridMlpStep:
    """Loss and gradients of one batch. The memory of the gradients is kept from call to call.

    table: `[entries, features]`; weights: matrices `[out, in]` from the features to the outputs, without biases. All
        are contiguous float32 tensors on the CPU.
    activation, omega: of the hidden layers, as in `fields.ops.mlp.mlp`. The last layer is linear.
    loss: "l1", "l2" or "relative_l2", which divides by `value^2 + 0.01` without differentiating that (Müller et al.
        2022).
    matmul_dtype: as in `mlp`. Weights, gradients and sums are float32 in any case.

    With matmul_dtype "float32" the results equal `step_reference` to 1e-5 relative. They have the same bits from run to
    run and for any number of threads.

    Raises ValueError where `why_not_fused` gives a reason, and for wrong names, shapes and dtypes.
    """

    def __init__(
        self,
        table: Tensor,
        weights: Sequence[Tensor],
        layout: GridLayout,
        *,
        interpolation: Interpolation = "linear",
        loss: Loss = "l2",
        activation: Activation = "relu",
        omega: float = 30.0,
        matmul_dtype: MatmulDtype = "float32",
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"the loss is l1, l2 or relative_l2, not {loss!r}")
        check_names(activation, matmul_dtype)
        check_weights(layout.outputs, weights)
        if reason := why_not_fused(table, weights, matmul_dtype, activation):
            raise ValueError(reason)
        if not all(t.is_contiguous() for t in (table, *weights)):
            raise ValueError("table and weights must be contiguous")
        self.table = table
        self.weights = weights
        inner = MlpKernel(ActivationShape(activation, omega, omega), matmul_dtype, len(weights))
        self.kernel = GridMlpKernel(layout, interpolation, inner)
        self.loss = loss
        self._grads = [torch.zeros_like(t, requires_grad=False) for t in (table, *weights)]

    @torch.no_grad()
    def __call__(self, coords: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        """Mean loss over all N C values, `[]` float64; sets `.grad` of the table and of every weight.

        coords: `[N, D]`. targets: `[N, C]`. sample_weights: `[N]`, multiply the losses of each point before the mean.
        """
        coords, targets = coords.contiguous(), targets.contiguous()
        check_hash_grid(coords, self.table, self.kernel.layout, self.kernel.interpolation)
        check_batch(coords, targets, self.weights[-1].shape[0], sample_weights)
        loss = torch.zeros((), dtype=torch.float64)
        pointers = {"loss": LOSSES.index(self.loss), "targets": targets.data_ptr(), "loss_value": loss.data_ptr()}
        if sample_weights is not None:
            sample_weights = sample_weights.contiguous()
            pointers["sample_weights"] = sample_weights.data_ptr()
        call = self.kernel.call(coords, self.table, self.kernel.mlp.record(self.weights, self._grads[1:]), **pointers)
        call.grid.grad_table = self._grads[0].data_ptr()
        cuda_ext.load("cpu").fs_grid_mlp_gradients(ctypes.byref(call))
        for leaf, grad in zip((self.table, *self.weights), self._grads):
            leaf.grad = grad
        return loss


def step_reference(
    coords: Tensor,
    targets: Tensor,
    table: Tensor,
    weights: Sequence[Tensor],
    *,
    layout: GridLayout,
    interpolation: Interpolation = "linear",
    loss: Loss = "l2",
    activation: Activation = "relu",
    omega: float = 30.0,
    sample_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Values, mean loss, and the gradients of table and weights, in plain torch.

    The native pass is tested against it.
    """
    leaves = [t.detach().clone().requires_grad_() for t in (table, *weights)]
    values = grid_mlp_reference(
        coords,
        leaves[0],
        leaves[1:],
        layout,
        interpolation=interpolation,
        activation=activation,
        omega=omega,
    )
    losses = point_losses(values, targets, loss)
    if sample_weights is not None:
        losses = losses * sample_weights.unsqueeze(-1)
    mean = losses.mean()
    return values.detach(), mean.detach(), list(torch.autograd.grad(mean, leaves))


def point_losses(values: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """The loss of each value, in plain torch; all arrays have one shape."""
    difference = values - targets
    if loss == "l1":
        return difference.abs()
    if loss == "l2":
        return difference**2
    return difference**2 / (values.detach() ** 2 + RELATIVE_L2_EPSILON)


def check_batch(coords: Tensor, targets: Tensor, outputs: int, sample_weights: Tensor | None) -> None:
    """Raise ValueError for shapes and dtypes of a batch that are not those of a fused step."""
    if coords.ndim != 2:
        raise ValueError(f"coords must be [N, D], not {list(coords.shape)}")
    if targets.shape != (len(coords), outputs) or targets.dtype != torch.float32:
        raise ValueError(
            f"targets must be float32 [{len(coords)}, {outputs}], not {targets.dtype} {list(targets.shape)}"
        )
    if sample_weights is not None and (sample_weights.shape != (len(coords),) or sample_weights.dtype != torch.float32):
        raise ValueError(
            f"sample weights must be float32 [{len(coords)}], not {sample_weights.dtype} {list(sample_weights.shape)}"
        )
