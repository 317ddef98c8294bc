"""CUDA functions of a hash grid and its MLP in one pass."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from fields.ops import mlp_cuda
from fields.ops.cuda_calls import WITH_WORKSPACE, CudaFunctions
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridCall, GridKernel, Interpolation, grid_call
from fields.ops.mlp import MlpCall, MlpKernel, MlpRecord, ready

# `csrc/cuda/grid_mlp.h`; the first argument points to a `GridMlpCall`.
SIGNATURES = {"fs_grid_mlp_forward": WITH_WORKSPACE, "fs_grid_mlp_backward": WITH_WORKSPACE}
functions = CudaFunctions(SIGNATURES)


class GridMlpCall(ctypes.Structure):
    """`GridMlpCall` in csrc/common/grid_mlp.h."""

    _fields_ = [("grid", GridCall), ("mlp", MlpCall)]


def serves(layout: GridLayout, kernel: MlpKernel, table: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether one kernel can take this grid and MLP together. Others go through two operations."""
    if not (2 <= layout.dimensions <= 4 and layout.features == 2 and table.dtype == torch.float32):
        return False
    return mlp_cuda.why_too_large(MlpCall(mlp=kernel.record(parameters), points=1)) is None


def forward(
    layout: GridLayout,
    interpolation: Interpolation,
    kernel: MlpKernel,
    *,
    coords: Tensor,
    table: Tensor,
    parameters: Sequence[Tensor],
) -> Tensor:
    """Values `[N, outputs]` at coords `[N, D]`."""
    values = coords.new_empty(len(coords), parameters[kernel.matrices - 1].shape[0])
    coords, table, *parameters = ready((coords, table, *parameters))
    _run("forward", layout, interpolation, coords, table, kernel.record(parameters), values=values)
    return values


def backward(
    layout: GridLayout,
    interpolation: Interpolation,
    kernel: MlpKernel,
    *,
    coords: Tensor,
    table: Tensor,
    parameters: Sequence[Tensor],
    grad: Tensor,
    needs: tuple[bool, bool],
) -> list[Tensor | None]:
    """Gradients of coords and table (None where `needs` says so), then of every parameter."""
    coords, table, grad, *parameters = ready((coords, table, grad, *parameters))
    grads = [torch.empty_like(p) for p in parameters]
    grad_features = coords.new_empty(len(coords), layout.outputs) if any(needs) else None
    factor = mlp_cuda.float16_scale(grad) if kernel.matmul_dtype == "float16" else None
    scaled = grad if factor is None else grad * factor
    record = kernel.record(parameters, grads)
    _run("backward", layout, interpolation, coords, table, record, grad=scaled, grad_features=grad_features)
    if factor is not None:
        grads = [g / factor for g in grads]
        grad_features = None if grad_features is None else grad_features / factor
    if grad_features is None:
        return [None, None, *grads]
    return [*GridKernel(layout, interpolation).backward(coords, table, grad_features, needs), *grads]


def _run(
    name: str,
    layout: GridLayout,
    interpolation: Interpolation,
    coords: Tensor,
    table: Tensor,
    record: MlpRecord,
    **tensors: Tensor | None,
) -> None:
    pointers = {key: t.data_ptr() for key, t in tensors.items() if t is not None}
    call = GridMlpCall(
        grid_call(layout, interpolation, coords, coords=coords.data_ptr(), table=table.data_ptr()),
        MlpCall(mlp=record, points=len(coords), **pointers),
    )
    workspace = mlp_cuda.functions.workspace(
        "fs_mlp_workspace", coords.device, "the MLP", ctypes.addressof(call.mlp), name == "backward"
    )
    functions.run(f"fs_grid_mlp_{name}", call, coords.device, operation="a grid and its MLP", workspace=workspace)
