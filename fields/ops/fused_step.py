"""The training step of a hash grid and a small MLP, in native code: encode, MLP, loss, and all gradients.

The MLP's activations never leave a tile of points; only features and their gradient are kept for the batch.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

import cuda_ext
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridKernel, hash_grid_reference

LOSSES = ("l1", "l2", "relative_l2")  # their numbers in csrc/cpu/mlp.h
WIDTHS = range(16, 129, 16)


class _Call(ctypes.Structure):
    """`MlpCall` in csrc/cpu/mlp.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("inputs", "width", "hidden_layers", "outputs", "loss", "workers")),
        ("points", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("weights", "features", "target", "output", "grad_features",
                                               "grad_weights", "loss_sum")),
    ]


def why_not_fused(table: Tensor, weights: list[Tensor], outputs: int) -> str | None:
    """One line saying why the native step cannot serve such a field, or None if it can."""
    if table.device.type != "cpu":
        return "the fused step runs on the CPU"
    if reason := cuda_ext.why_absent("cpu"):
        return reason
    width = weights[0].shape[0]
    if width not in WIDTHS or not 2 <= len(weights) <= 9 or not 1 <= outputs <= 64:
        return "the fused step takes 1 to 8 hidden layers of 16, 32, ... 128 units"
    if any(w.dtype != torch.float32 for w in (table, *weights)):
        return "the fused step computes in float32"
    return None


def mlp_forward(features: Tensor, weights: list[Tensor]) -> Tensor:
    """Values `[N, C]` of `features` `[N, F]` (float32, CPU) by a ReLU MLP without biases, `weights` `[out, in]` each."""
    output = features.new_empty(features.shape[0], weights[-1].shape[0])
    flat = _flat(weights)
    features = features.contiguous()
    call = _mlp_call(weights, features, weights=flat, output=output)
    cuda_ext.load("cpu").fs_mlp_forward(ctypes.byref(call))
    return output


def grid_mlp_forward(coords: Tensor, table: Tensor, layout: GridLayout, weights: list[Tensor],
                     interpolation: str = "linear") -> Tensor:
    """Values `[N, C]` at `coords` `[N, D]` (float32, CPU), without gradients."""
    return mlp_forward(GridKernel(layout, interpolation).forward(coords.contiguous(), table), weights)


class GridMlpStep:
    """Loss and gradients of one batch; memory is kept from call to call.

    `table` `[entries, features]` and `weights` (a list of `[out, in]`, no biases, ReLU between) are float32 leaves on
    the CPU. A call with coords `[N, D]` and targets `[N, C]` returns the mean loss (a tensor of one number) and sets
    `.grad` of the table and of every weight. Equal to `grid_mlp_reference` to 1e-5 relative.
    """

    def __init__(self, table: Tensor, weights: list[Tensor], layout: GridLayout, interpolation: str, loss: str) -> None:
        if reason := why_not_fused(table, weights, weights[-1].shape[0]):
            raise ValueError(reason)
        self.table = table
        self.weights = weights
        self.loss = loss
        self._kernel = GridKernel(layout, interpolation)
        self._outputs = layout.outputs
        self._features = table.new_empty(0, layout.outputs)
        self._grad_features = torch.empty_like(self._features)
        self._grad_table = torch.empty_like(table)
        sizes = [w.numel() for w in weights]
        self._grad_weights = table.new_empty(sum(sizes))
        self._grads = [g.view_as(w) for g, w in zip(self._grad_weights.split(sizes), weights)]

    @torch.no_grad()
    def __call__(self, coords: Tensor, targets: Tensor) -> Tensor:
        count = coords.shape[0]
        if len(self._features) < count:
            self._features = self.table.new_empty(count, self._outputs)
            self._grad_features = torch.empty_like(self._features)
        features, grad_features = self._features[:count], self._grad_features[:count]
        coords, targets = coords.contiguous(), targets.contiguous()
        self._kernel.forward(coords, self.table, output=features)
        loss, flat = torch.zeros((), dtype=torch.float64), _flat(self.weights)
        call = _mlp_call(self.weights, features, weights=flat, target=targets, loss=LOSSES.index(self.loss),
                         grad_features=grad_features, grad_weights=self._grad_weights, loss_sum=loss)
        cuda_ext.load("cpu").fs_mlp_gradients(ctypes.byref(call))
        self._kernel.backward(coords, self.table, grad_features, (False, True), grad_table=self._grad_table)
        self.table.grad = self._grad_table
        for weight, grad in zip(self.weights, self._grads):
            weight.grad = grad
        return loss / max(1, targets.numel())


def grid_mlp_reference(coords: Tensor, targets: Tensor, table: Tensor, weights: list[Tensor], layout: GridLayout,
                       interpolation: str, loss: str) -> tuple[Tensor, list[Tensor]]:
    """The mean loss and the gradients of table and weights, in plain torch; it judges the native step."""
    leaves = [t.detach().clone().requires_grad_() for t in (table, *weights)]
    values = hash_grid_reference(coords, leaves[0], layout, interpolation)
    for weight in leaves[1:-1]:
        values = torch.relu(values @ weight.T)
    values = values @ leaves[-1].T
    difference = values - targets
    if loss == "l1":
        total = difference.abs().mean()
    elif loss == "l2":
        total = (difference ** 2).mean()
    else:
        total = (difference ** 2 / (values.detach() ** 2 + 0.01)).mean()
    return total.detach(), list(torch.autograd.grad(total, leaves))


def _flat(weights: list[Tensor]) -> Tensor:
    return torch.cat([w.detach().reshape(-1) for w in weights])


def _mlp_call(matrices: list[Tensor], features: Tensor, loss: int = 0, **tensors: Tensor) -> _Call:
    # The tensors live in the caller's frame until its native call has returned.
    return _Call(inputs=features.shape[1], width=matrices[0].shape[0], hidden_layers=len(matrices) - 1,
                 outputs=matrices[-1].shape[0], loss=loss, workers=torch.get_num_threads(), points=features.shape[0],
                 features=features.data_ptr(), **{name: tensor.data_ptr() for name, tensor in tensors.items()})
