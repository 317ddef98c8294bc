"""Multiresolution hash grid: coordinates to features (Müller et al. 2022, section 3)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, buffers, cuda_calls, hash_grid_cuda
from fields.ops.grid_layout import PRIMES, GridLayout, GridLevel

Interpolation = Literal["linear", "smoothstep"]
INTERPOLATIONS = ("linear", "smoothstep")

# `TableType` in csrc/common/grid.h.
TABLE_TYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
# Dtypes of tables that are stored with fewer bits than the float32 that computes with them.
REDUCED_PRECISION = (torch.float16, torch.bfloat16)


def hash_grid(
    coords: Tensor,
    table: Tensor,
    layout: GridLayout,
    interpolation: Interpolation = "linear",
    *,
    backend: backends.Backend = "auto",
) -> Tensor:
    """Features of every level at each point, coarsest level first: `[..., layout.levels * layout.features]`.

    coords: `[..., D]`, clamped to [0, 1].
    table: `[layout.entries, layout.features]`, of the dtype (float32 or float64) and on the device of coords. With
        float32 coords the table may also be float16 or bfloat16: features, all sums and the table's gradient are then
        float32, and the gradient is rounded once in the end to the table's dtype.
    interpolation: at a level the position is `scale * x + 0.5`. The 2^D corners of its cell are weighted linearly, or
        by `3t^2 - 2t^3` of the position in the cell ("smoothstep"), whose first derivative is continuous. backend:
        "native" is the compiled kernel, "torch" the reference in plain torch, "auto" the kernel where there is one
        (`backends.why_not_native` says why not). Exporters always see the reference.

    Differentiable twice, in coords and table; a third derivative raises RuntimeError in the native backend. The
    gradient of a clamped coordinate is zero; exactly at 0 and 1 it is that of the cell inside. A NaN coordinate gives
    NaN features.

    Raises ValueError for wrong shapes, dtypes, devices or names, and RuntimeError if "native" is absent.
    """
    check_hash_grid(coords, table, layout, interpolation, reduced_precision=True)
    if backends.choose(backend, backends.device_type(coords)) == "torch":
        return hash_grid_reference(coords, table, layout, interpolation)
    flat = coords.reshape(-1, layout.dimensions)
    features = _Forward.apply(flat, table, GridKernel(layout, interpolation))
    return features.reshape(*coords.shape[:-1], layout.outputs)


def hash_grid_reference(coords: Tensor, table: Tensor, layout: GridLayout, interpolation: Interpolation) -> Tensor:
    """`hash_grid` in plain torch, differentiable any number of times. The kernels are tested against it."""
    x = coords.reshape(-1, layout.dimensions).clamp(0.0, 1.0)
    features = [_level_reference(x, table, layout, level, interpolation) for level in layout.per_level]
    return torch.cat(features, dim=-1).reshape(*coords.shape[:-1], layout.outputs)


def corner_entries(coords: Tensor, layout: GridLayout, level: GridLevel) -> Tensor:
    """Rows, within the level, of the corners of each point's cell: `[N, 2^D]` int64 for coords `[N, D]`.

    Bit a of a corner's index is its side along axis a.
    """
    cell = (coords.detach().clamp(0.0, 1.0) * level.scale + 0.5).floor().long()
    corners = [
        [cell[:, axis] + (corner >> axis & 1) for axis in range(layout.dimensions)]
        for corner in range(2**layout.dimensions)
    ]
    return torch.stack([_entry(corner, layout, level) for corner in corners], dim=-1)


def point_entries(points: Tensor, layout: GridLayout, level: GridLevel) -> Tensor:
    """Rows, within the level, of grid points `[N, D]` int64: `[N]` int64."""
    return _entry(list(points.unbind(-1)), layout, level)


def _level_reference(x: Tensor, table: Tensor, layout: GridLayout, level: GridLevel, interpolation: str) -> Tensor:
    position = x * level.scale + 0.5
    t = position - position.detach().floor()
    if interpolation == "smoothstep":
        t = t * t * (3.0 - 2.0 * t)
    rows = table[level.offset : level.offset + level.size].to(x.dtype)
    entries = corner_entries(x, layout, level)

    def weighted(corner: int) -> Tensor:
        weight = torch.ones_like(t[:, 0])
        for axis in range(layout.dimensions):
            weight = weight * (t[:, axis] if corner >> axis & 1 else 1.0 - t[:, axis])
        return weight.unsqueeze(-1) * rows[entries[:, corner]]

    return reduce(torch.add, map(weighted, range(2**layout.dimensions)))


def _entry(point: list[Tensor], layout: GridLayout, level: GridLevel) -> Tensor:
    """Row of a grid point in its level, in 32-bit arithmetic as in the kernels."""
    if level.hashed:
        index = point[0]
        for axis in range(1, layout.dimensions):
            index = index ^ (point[axis] * PRIMES[axis])
    else:
        index = reduce(torch.add, (p * stride for p, stride in zip(point, layout.strides(level))))
    return (index & 0xFFFFFFFF) % level.size


def check_hash_grid(
    coords: Tensor, table: Tensor, layout: GridLayout, interpolation: str, *, reduced_precision: bool = False
) -> None:
    """Raise ValueError unless coords and table fit the layout; `reduced_precision` also allows float16 and bfloat16."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is linear or smoothstep, not {interpolation!r}")
    if coords.ndim < 1 or coords.shape[-1] != layout.dimensions:
        raise ValueError(f"coords must be [..., {layout.dimensions}], not {list(coords.shape)}")
    if table.shape != (layout.entries, layout.features):
        raise ValueError(f"the table must be [{layout.entries}, {layout.features}], not {list(table.shape)}")
    if reduced_precision and table.dtype in REDUCED_PRECISION:
        if coords.dtype != torch.float32:
            raise ValueError(f"with a table of {table.dtype} the coords must be float32, not {coords.dtype}")
    elif table.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"the table must be float32 or float64, not {table.dtype}")
    elif coords.dtype != table.dtype:
        raise ValueError(f"coords and table must have one dtype, not {coords.dtype} and {table.dtype}")
    if coords.device != table.device:
        raise ValueError(f"coords and table must be on one device, not {coords.device} and {table.device}")


class GridCall(ctypes.Structure):
    """`GridCall` in csrc/common/grid.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in ("dimensions", "features", "levels", "smooth", "table_type", "num_threads")
        ),
        ("points", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in ("level", "coords", "table", "grad", "direction", "output", "grad_coords", "grad_table")
        ),
    ]


def grid_call(
    layout: GridLayout,
    interpolation: Interpolation,
    points: Tensor,
    /,
    table_dtype: torch.dtype | None = None,
    **pointers: int,
) -> GridCall:
    """Call structure for points `[N, D]`. The layout must live until the call has returned.

    table_dtype: dtype of the table; that of the points by default.
    """
    return GridCall(
        dimensions=layout.dimensions,
        features=layout.features,
        levels=layout.levels,
        smooth=interpolation == "smoothstep",
        table_type=TABLE_TYPES[table_dtype or points.dtype],
        num_threads=torch.get_num_threads(),
        points=points.shape[0],
        level=layout.records.ctypes.data,
        **pointers,
    )


@dataclass(frozen=True)
class GridKernel:
    """Compiled kernels of one layout, for coords `[N, D]` and gradients of the features `[N, outputs]`."""

    layout: GridLayout
    interpolation: Interpolation

    def forward(self, coords: Tensor, table: Tensor, direction: Tensor | None = None) -> Tensor:
        """Features `[N, outputs]`, or with a direction `[N, D]` their derivative along it."""
        output = _empty((coords.shape[0], self.layout.outputs), coords)
        self._call("forward", coords, table, direction=direction, output=output)
        return output

    def backward(
        self,
        coords: Tensor,
        table: Tensor,
        grad: Tensor,
        needs: tuple[bool, bool],
        *,
        direction: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of `<grad, forward(coords, table, direction)>` with respect to coords and table.

        needs: whether each of the two is wanted; the other is None. The gradients have the dtype of coords.
        """
        grad_coords = _empty(coords.shape, coords) if needs[0] else None
        grad_table = _empty(table.shape, coords) if needs[1] else None
        self._call(
            "backward",
            coords,
            table,
            grad=grad,
            direction=direction,
            grad_coords=grad_coords,
            grad_table=grad_table,
        )
        return grad_coords, grad_table

    def _call(self, name: str, coords: Tensor, table: Tensor, **tensors: Tensor | None) -> None:
        ready = cuda_calls.ready if backends.device_type(coords) == "cuda" else Tensor.contiguous
        # The copies must outlive the call, so the dictionary holds them.
        used = {"coords": coords, "table": table, **tensors}
        held = {key: ready(tensor) for key, tensor in used.items() if tensor is not None}
        pointers = {key: tensor.data_ptr() for key, tensor in held.items()}
        _run(name, grid_call(self.layout, self.interpolation, coords, table.dtype, **pointers), coords.device)


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    return buffers.empty(shape, like.dtype) if backends.device_type(like) == "cpu" else like.new_empty(shape)


def _run(name: str, call: GridCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        hash_grid_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load(backends.device_type(device)), f"fs_hash_grid_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, kernel: GridKernel) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.kernel = kernel
        return kernel.forward(coords, table)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        table = ctx.saved_tensors[1]
        for_coords, for_table = _Backward.apply(*ctx.saved_tensors, grad, ctx.kernel, ctx.needs_input_grad[:2])
        return for_coords, for_table if for_table is None else for_table.to(table.dtype), None


class _Backward(Function):
    """Gradients as a function of coords, table and the features' gradient, so that they can be differentiated again."""

    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, grad: Tensor, kernel: GridKernel, needs: tuple[bool, bool]):
        ctx.save_for_backward(coords, table, grad)
        ctx.kernel = kernel
        ctx.set_materialize_grads(False)
        return kernel.backward(coords, table, grad, needs)

    @staticmethod
    def backward(ctx, along: Tensor | None, rows: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        table = ctx.saved_tensors[1]
        for_coords, for_table, for_grad = _Second.apply(
            *ctx.saved_tensors, along, rows, ctx.kernel, ctx.needs_input_grad[:3]
        )
        return for_coords, for_table if for_table is None else for_table.to(table.dtype), for_grad, None, None


class _Second(Function):
    """Gradients of `<along, grad_coords> + <rows, grad_table>`.

    The first term is `<grad, derivative of the features along "along">`. The second is linear in `rows` and equals
    `<grad, features of a table "rows">`.
    """

    @staticmethod
    def forward(
        ctx,
        coords: Tensor,
        table: Tensor,
        grad: Tensor,
        along: Tensor | None,
        rows: Tensor | None,
        kernel: GridKernel,
        needs: tuple[bool, bool, bool],
    ):
        need_coords, need_table, need_grad = needs
        by_coords, by_table, by_grad = [], [], []
        if along is not None:
            for_coords, for_table = kernel.backward(coords, table, grad, (need_coords, need_table), direction=along)
            by_coords.append(for_coords)
            by_table.append(for_table)
            if need_grad:
                by_grad.append(kernel.forward(coords, table, along))
        if rows is not None:
            if need_coords:
                by_coords.append(kernel.backward(coords, rows, grad, (True, False))[0])
            if need_grad:
                by_grad.append(kernel.forward(coords, rows))
        return tuple(
            sum(parts) if need and parts else None for need, parts in zip(needs, (by_coords, by_table, by_grad))
        )

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("hash_grid has no third derivative in the native backend; use backend='torch'")
