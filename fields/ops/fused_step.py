"""A hash grid and a small MLP in one native pass: values; or the loss and all gradients of a training step.

Tile after tile of points goes through grid, MLP, loss and back; activations never leave the tile. float32 on the CPU.
"""

from __future__ import annotations

import ctypes
from typing import Literal

import torch
from torch import Tensor

import cuda_ext
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridCall, check_hash_grid, grid_call, hash_grid_reference

Activation = Literal["none", "relu", "sine"]
Loss = Literal["l1", "l2", "relative_l2"]
# Their numbers in csrc/cpu/fused_step.h.
ACTIVATIONS = ("none", "relu", "sine")
LOSSES = ("l1", "l2", "relative_l2")

MOST_HIDDEN_LAYERS = 4
WIDTHS = range(16, 129, 16)
MOST_OUTPUTS = 64


class _Call(ctypes.Structure):
    """`StepCall` in csrc/cpu/fused_step.h."""

    _fields_ = [
        ("grid", GridCall),
        *((name, ctypes.c_int32) for name in ("matrices", "activation", "loss")),
        ("omega", ctypes.c_float),
        ("sizes", ctypes.c_int32 * (MOST_HIDDEN_LAYERS + 2)),
        ("weights", ctypes.c_void_p * (MOST_HIDDEN_LAYERS + 1)),
        ("grad_weights", ctypes.c_void_p * (MOST_HIDDEN_LAYERS + 1)),
        *((name, ctypes.c_void_p) for name in ("targets", "sample_weights", "values", "loss_value")),
    ]


def why_not_fused(table: Tensor, weights: list[Tensor], outputs: int) -> str | None:
    """One line saying why the native pass cannot serve such a field, or None if it can."""
    if table.device.type != "cpu":
        return "the fused step runs on the CPU"
    if reason := cuda_ext.why_absent("cpu"):
        return reason
    if any(w.dtype != torch.float32 for w in (table, *weights)):
        return "the fused step computes in float32"
    if not 1 <= len(weights) - 1 <= MOST_HIDDEN_LAYERS or any(w.shape[0] not in WIDTHS for w in weights[:-1]):
        return f"the fused step takes 1 to {MOST_HIDDEN_LAYERS} hidden layers of 16, 32, ... 128 units"
    if not 1 <= outputs <= MOST_OUTPUTS:
        return f"the fused step has 1 to {MOST_OUTPUTS} outputs"
    return None


class GridMlpStep:
    """Loss and gradients of one batch; the memory of the gradients is kept from call to call.

    `table` `[entries, features]` and `weights`, a list of `[out, in]` from the features to the outputs, are contiguous
    float32 tensors on the CPU; there are no biases. Hidden layers are `relu`, `none`, or `sine`: sin(omega x); the
    last is linear. A call with coords `[N, D]` and targets `[N, C]` gives the mean loss over all N C values (float64, no
    dimensions) and sets `.grad` of the table and of every weight; `sample_weights` `[N]` multiply the losses of each
    point before the mean. relative_l2 divides by value^2 + 0.01, which is not differentiated (Müller et al. 2022).

    Equal to `grid_mlp_reference` to 1e-5 relative; the same bits from run to run and for any number of threads.
    ValueError for what `why_not_fused` refuses, and for wrong names, shapes and dtypes.
    """

    def __init__(self, table: Tensor, weights: list[Tensor], layout: GridLayout, interpolation: str = "linear",
                 loss: Loss = "l2", activation: Activation = "relu", omega: float = 30.0) -> None:
        if reason := why_not_fused(table, weights, weights[-1].shape[0]):
            raise ValueError(reason)
        _check_names(loss, activation)
        _check_weights(layout, weights)
        if not all(t.is_contiguous() for t in (table, *weights)):
            raise ValueError("table and weights must be contiguous")
        self.table = table
        self.weights = weights
        self.options = (layout, interpolation, activation, omega)
        self.loss = loss
        self._grads = [torch.zeros_like(t, requires_grad=False) for t in (table, *weights)]

    @torch.no_grad()
    def __call__(self, coords: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        layout, interpolation, *_ = self.options
        coords, targets = coords.contiguous(), targets.contiguous()
        check_hash_grid(coords, self.table, layout, interpolation)
        _check_batch(coords, targets, self.weights[-1].shape[0], sample_weights)
        loss = torch.zeros((), dtype=torch.float64)
        pointers = {"targets": targets.data_ptr(), "loss_value": loss.data_ptr()}
        if sample_weights is not None:
            sample_weights = sample_weights.contiguous()
            pointers["sample_weights"] = sample_weights.data_ptr()
        call = _call(coords, self.table, self.weights, *self.options, loss=LOSSES.index(self.loss), **pointers)
        call.grid.grad_table = self._grads[0].data_ptr()
        call.grad_weights[:len(self.weights)] = [g.data_ptr() for g in self._grads[1:]]
        cuda_ext.load("cpu").fs_grid_mlp_gradients(ctypes.byref(call))
        for leaf, grad in zip((self.table, *self.weights), self._grads):
            leaf.grad = grad
        return loss


@torch.no_grad()
def grid_mlp_forward(coords: Tensor, table: Tensor, layout: GridLayout, weights: list[Tensor],
                     interpolation: str = "linear", activation: Activation = "relu", omega: float = 30.0) -> Tensor:
    """Values `[N, C]` at `coords` `[N, D]`, without gradients; arguments and errors as of `GridMlpStep`."""
    if reason := why_not_fused(table, weights, weights[-1].shape[0]):
        raise ValueError(reason)
    _check_names("l2", activation)
    _check_weights(layout, weights)
    coords, table, weights = coords.contiguous(), table.contiguous(), [w.contiguous() for w in weights]
    check_hash_grid(coords, table, layout, interpolation)
    values = coords.new_empty(coords.shape[0], weights[-1].shape[0])
    call = _call(coords, table, weights, layout, interpolation, activation, omega, values=values.data_ptr())
    cuda_ext.load("cpu").fs_grid_mlp_forward(ctypes.byref(call))
    return values


def grid_mlp_reference(coords: Tensor, targets: Tensor, table: Tensor, weights: list[Tensor], layout: GridLayout,
                       interpolation: str = "linear", loss: Loss = "l2", activation: Activation = "relu",
                       omega: float = 30.0, sample_weights: Tensor | None = None) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Values, mean loss, and the gradients of table and weights, in plain torch; it judges the native pass."""
    leaves = [t.detach().clone().requires_grad_() for t in (table, *weights)]
    values = hash_grid_reference(coords, leaves[0], layout, interpolation)
    for weight in leaves[1:-1]:
        values = values @ weight.T
        if activation == "relu":
            values = torch.relu(values)
        elif activation == "sine":
            values = torch.sin(omega * values)
    values = values @ leaves[-1].T
    difference = values - targets
    if loss == "l1":
        losses = difference.abs()
    elif loss == "l2":
        losses = difference ** 2
    else:
        losses = difference ** 2 / (values.detach() ** 2 + 0.01)
    if sample_weights is not None:
        losses = losses * sample_weights.unsqueeze(-1)
    mean = losses.mean()
    return values.detach(), mean.detach(), list(torch.autograd.grad(mean, leaves))


def _call(coords: Tensor, table: Tensor, weights: list[Tensor], layout: GridLayout, interpolation: str,
          activation: Activation, omega: float, loss: int = 0, **pointers: int) -> _Call:
    grid = grid_call(layout, interpolation, coords, coords=coords.data_ptr(), table=table.data_ptr())
    call = _Call(grid=grid, matrices=len(weights), activation=ACTIVATIONS.index(activation), loss=loss, omega=omega,
                 **pointers)
    call.sizes[:len(weights) + 1] = [layout.outputs, *(w.shape[0] for w in weights)]
    call.weights[:len(weights)] = [w.data_ptr() for w in weights]
    return call


def _check_names(loss: str, activation: str) -> None:
    if loss not in LOSSES:
        raise ValueError(f"the loss is l1, l2 or relative_l2, not {loss!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"the activation is none, relu or sine, not {activation!r}")


def _check_weights(layout: GridLayout, weights: list[Tensor]) -> None:
    inputs = layout.outputs
    for index, weight in enumerate(weights):
        if weight.ndim != 2 or weight.shape[1] != inputs:
            raise ValueError(f"matrix {index} must be [out, {inputs}], not {list(weight.shape)}")
        inputs = weight.shape[0]


def _check_batch(coords: Tensor, targets: Tensor, outputs: int, sample_weights: Tensor | None) -> None:
    if coords.ndim != 2:
        raise ValueError(f"coords must be [N, D], not {list(coords.shape)}")
    if targets.shape != (len(coords), outputs) or targets.dtype != torch.float32:
        raise ValueError(f"targets must be float32 [{len(coords)}, {outputs}], not {targets.dtype} {list(targets.shape)}")
    if sample_weights is not None and (sample_weights.shape != (len(coords),) or sample_weights.dtype != torch.float32):
        raise ValueError(f"sample weights must be float32 [{len(coords)}], not {sample_weights.dtype} "
                         f"{list(sample_weights.shape)}")
