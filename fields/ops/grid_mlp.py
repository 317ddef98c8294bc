"""Hash grid and small MLP in one pass: coordinates to values, with gradients that recompute features and activations.

One tile of points after another goes through the grid and all layers, and back. Only the gradient of the features is
stored for the whole batch, on the way back, so that each level of the table is summed in a fixed order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, grid_mlp_cuda
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridCall, Interpolation, check_hash_grid, grid_call, hash_grid, hash_grid_reference
from fields.ops.mlp import (
    Activation,
    ActivationShape,
    MatmulDtype,
    MlpKernel,
    MlpRecord,
    check_mlp,
    differentiable_gradients,
    mlp,
    mlp_reference,
    ready,
    why_not_matmul_dtype,
    why_not_native_mlp,
)


def grid_mlp(
    coords: Tensor,
    table: Tensor,
    weights: Sequence[Tensor],
    layout: GridLayout,
    *,
    interpolation: Interpolation = "linear",
    activation: Activation = "relu",
    omega: float = 30.0,
    biases: Sequence[Tensor] | None = None,
    matmul_dtype: MatmulDtype = "float32",
    backend: backends.Backend = "auto",
) -> Tensor:
    """Values `[..., outputs]` at coords `[..., D]`: `mlp(hash_grid(coords, table), weights)` without stored features.

    Arguments and errors are those of `hash_grid` and `mlp`.

    Neither features nor activations of the whole batch are stored. On a GPU this holds for grids of 2 to 4 dimensions
    and 2 features; other grids go through the two operations one after the other.

    Differentiable in coords, table, weights and biases; a gradient that is not needed is not computed. Gradients that
    will be differentiated again (`create_graph=True`) go through `hash_grid` and the MLP's reference, which together
    are differentiable twice. Results have the same bits from run to run and for any number of threads.
    """
    check_hash_grid(coords, table, layout, interpolation)
    biases = list(biases) if biases is not None else None
    check_mlp(coords.new_empty(0, layout.outputs), weights, biases, activation=activation, matmul_dtype=matmul_dtype)
    device = backends.device_type(coords)
    inner = MlpKernel(ActivationShape(activation, float(omega), float(omega)), matmul_dtype, len(weights))
    separate = (
        backends.choose(backend, device) == "torch"
        or device not in ("cpu", "cuda")
        or why_not_native_mlp(weights, activation, device)
        or (device == "cuda" and not grid_mlp_cuda.serves(layout, inner, table, (*weights, *(biases or ()))))
    )
    if separate:
        features = hash_grid(coords, table, layout, interpolation, backend=backend)
        return mlp(
            features, weights, activation, omega=omega, biases=biases, matmul_dtype=matmul_dtype, backend=backend
        )
    if why := why_not_matmul_dtype(matmul_dtype, device):
        raise ValueError(why)
    kernel = GridMlpKernel(layout, interpolation, inner)
    values = _Forward.apply(kernel, coords.reshape(-1, layout.dimensions), table, *weights, *(biases or ()))
    return values.reshape(*coords.shape[:-1], values.shape[-1])


def grid_mlp_reference(
    coords: Tensor,
    table: Tensor,
    weights: Sequence[Tensor],
    layout: GridLayout,
    *,
    interpolation: Interpolation = "linear",
    activation: Activation = "relu",
    omega: float = 30.0,
    biases: Sequence[Tensor] | None = None,
) -> Tensor:
    """`grid_mlp` in plain torch. The kernels are tested against it."""
    features = hash_grid_reference(coords, table, layout, interpolation)
    return mlp_reference(features, weights, activation, omega=omega, biases=biases)


class StepCall(ctypes.Structure):
    """`StepCall` in csrc/cpu/fused_step.h."""

    _fields_ = [
        ("grid", GridCall),
        ("mlp", MlpRecord),
        ("loss", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("targets", "sample_weights", "loss_value", "grad", "values")),
    ]


@dataclass(frozen=True)
class GridMlpKernel:
    """Compiled kernels of one layout and MLP. `parameters` are the matrices, then the biases if there are any."""

    layout: GridLayout
    interpolation: Interpolation
    mlp: MlpKernel

    def call(self, coords: Tensor, table: Tensor, record: MlpRecord, /, **pointers: int) -> StepCall:
        """Call structure of the CPU library for contiguous tensors, which must live until the call has returned."""
        grid = grid_call(self.layout, self.interpolation, coords, coords=coords.data_ptr(), table=table.data_ptr())
        return StepCall(grid=grid, mlp=record, **pointers)

    def forward(self, coords: Tensor, table: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Values `[N, outputs]` at coords `[N, D]`."""
        if backends.device_type(coords) == "cuda":
            return grid_mlp_cuda.forward(
                self.layout, self.interpolation, self.mlp, coords=coords, table=table, parameters=parameters
            )
        values = coords.new_empty(len(coords), parameters[self.mlp.matrices - 1].shape[0])
        coords, table, *parameters = ready((coords, table, *parameters))
        call = self.call(coords, table, self.mlp.record(parameters), values=values.data_ptr())
        cuda_ext.load("cpu").fs_grid_mlp_forward(ctypes.byref(call))
        return values

    def backward(
        self, coords: Tensor, table: Tensor, parameters: Sequence[Tensor], *, grad: Tensor, needs: tuple[bool, bool]
    ) -> list[Tensor | None]:
        """Gradients of `<grad, forward(coords, table, parameters)>`: of coords, table, and every parameter.

        needs: whether the gradients of coords and table are wanted; otherwise they are None.
        """
        if backends.device_type(coords) == "cuda":
            return grid_mlp_cuda.backward(
                self.layout,
                self.interpolation,
                self.mlp,
                coords=coords,
                table=table,
                parameters=parameters,
                grad=grad,
                needs=needs,
            )
        coords, table, grad, *parameters = ready((coords, table, grad, *parameters))
        grad_coords, grad_table = (torch.empty_like(t) if need else None for t, need in zip((coords, table), needs))
        grads = [torch.empty_like(p) for p in parameters]
        call = self.call(coords, table, self.mlp.record(parameters, grads), grad=grad.data_ptr())
        if grad_coords is not None:
            call.grid.grad_coords = grad_coords.data_ptr()
        if grad_table is not None:
            call.grid.grad_table = grad_table.data_ptr()
        cuda_ext.load("cpu").fs_grid_mlp_backward(ctypes.byref(call))
        return [grad_coords, grad_table, *grads]

    def composed(self, coords: Tensor, table: Tensor, *parameters: Tensor) -> Tensor:
        """`forward` through `hash_grid` and the MLP's reference, which can be differentiated twice."""
        features = hash_grid(coords, table, self.layout, self.interpolation, backend="native")
        return self.mlp.reference(features, *parameters)


class _Forward(Function):
    @staticmethod
    def forward(ctx, kernel: GridMlpKernel, coords: Tensor, table: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(coords, table, *parameters)
        ctx.kernel = kernel
        return kernel.forward(coords, table, parameters)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        coords, table, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(ctx.kernel.composed, (coords, table, *parameters), grad)
        return None, *ctx.kernel.backward(coords, table, parameters, grad=grad, needs=ctx.needs_input_grad[1:3])
