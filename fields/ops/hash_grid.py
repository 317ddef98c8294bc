"""The multiresolution hash grid: coordinates → features (Müller et al. 2022, section 3)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, cuda_calls, hash_grid_cuda, memory
from fields.ops.grid_layout import PRIMES, GridLayout, GridLevel

Interpolation = Literal["linear", "smoothstep"]
INTERPOLATIONS = ("linear", "smoothstep")

# `TableType` in csrc/common/grid.h.
TABLE_TYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
NARROW = (torch.float16, torch.bfloat16)


def hash_grid(
    coords: Tensor,
    table: Tensor,
    layout: GridLayout,
    interpolation: Interpolation = "linear",
    backend: backends.Backend = "auto",
) -> Tensor:
    """Features of every level at each point, coarsest level first.

    coords `[..., D]`, clamped to [0, 1] first; table `[layout.entries, layout.features]` of the same dtype (float32 or
    float64) and device → `[..., layout.levels * layout.features]`, the features of a level side by side. With float32
    coords the table may also be float16 or bfloat16: features and all sums are float32 then, the table's gradient too,
    which is rounded once in the end, to the table's dtype. At a level
    the position is `scale * x + 0.5`; the 2^D corners of its cell are weighted linearly, or by `3t^2 - 2t^3` of it
    (smoothstep), whose first derivative is continuous.

    Differentiable twice, in coords and table; a third derivative raises. The gradient of a coordinate that was
    clamped is zero; exactly at 0 and 1 it is that of the cell inside. A NaN coordinate gives NaN features.

    backend "native" is the compiled kernel (RuntimeError if it is absent), "torch" the plain formula, "auto" the
    first that there is (`backends.why_not_native` says why it is not the kernel). Exporters always see the formula.
    ValueError for wrong shapes, dtypes, devices or names.
    """
    check_hash_grid(coords, table, layout, interpolation, narrow=True)
    if backends.choose(backend, coords.device.type) == "torch":
        return hash_grid_reference(coords, table, layout, interpolation)
    flat = coords.reshape(-1, layout.dimensions)
    features = _Forward.apply(flat, table, GridKernel(layout, interpolation))
    return features.reshape(*coords.shape[:-1], layout.outputs)


def hash_grid_reference(coords: Tensor, table: Tensor, layout: GridLayout, interpolation: Interpolation) -> Tensor:
    """The same in plain torch; it judges the kernels, and autograd differentiates it any number of times."""
    x = coords.reshape(-1, layout.dimensions).clamp(0.0, 1.0)
    features = [_level_reference(x, table, layout, level, interpolation) for level in layout.per_level]
    return torch.cat(features, dim=-1).reshape(*coords.shape[:-1], layout.outputs)


def corner_entries(coords: Tensor, layout: GridLayout, level: GridLevel) -> Tensor:
    """Rows, within the level, of the corners of each point's cell: `[N, 2^D]`; bit a of a corner's number is its side
    along axis a."""
    cell = (coords.detach().clamp(0.0, 1.0) * level.scale + 0.5).floor().long()
    corners = [
        [cell[:, axis] + (corner >> axis & 1) for axis in range(layout.dimensions)]
        for corner in range(2**layout.dimensions)
    ]
    return torch.stack([_index(corner, layout, level) for corner in corners], dim=-1)


def entries_of(points: Tensor, layout: GridLayout, level: GridLevel) -> Tensor:
    """Rows, within the level, of grid points `[N, D]` int64: `[N]`."""
    return _index(list(points.unbind(-1)), layout, level)


def _level_reference(x: Tensor, table: Tensor, layout: GridLayout, level: GridLevel, interpolation: str) -> Tensor:
    position = x * level.scale + 0.5
    t = position - position.detach().floor()
    if interpolation == "smoothstep":
        t = t * t * (3.0 - 2.0 * t)
    rows = table[level.offset : level.offset + level.size].to(x.dtype)
    entries = corner_entries(x, layout, level)
    total = 0.0
    for corner in range(2**layout.dimensions):
        weight = torch.ones_like(t[:, 0])
        for axis in range(layout.dimensions):
            weight = weight * (t[:, axis] if corner >> axis & 1 else 1.0 - t[:, axis])
        total = total + weight.unsqueeze(-1) * rows[entries[:, corner]]
    return total


def _index(point: list[Tensor], layout: GridLayout, level: GridLevel) -> Tensor:
    """Row of a grid point in its level; 32-bit arithmetic, as the kernels have it."""
    if level.hashed:
        index = point[0]
        for axis in range(1, layout.dimensions):
            index = index ^ (point[axis] * PRIMES[axis])
    else:
        index = sum(p * stride for p, stride in zip(point, layout.strides(level)))
    return (index & 0xFFFFFFFF) % level.size


def check_hash_grid(
    coords: Tensor, table: Tensor, layout: GridLayout, interpolation: str, narrow: bool = False
) -> None:
    """ValueError unless they fit; `narrow`: a table in half precision fits too."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is linear or smoothstep, not {interpolation!r}")
    if coords.ndim < 1 or coords.shape[-1] != layout.dimensions:
        raise ValueError(f"coords must be [..., {layout.dimensions}], not {list(coords.shape)}")
    if table.shape != (layout.entries, layout.features):
        raise ValueError(f"the table must be [{layout.entries}, {layout.features}], not {list(table.shape)}")
    if narrow and table.dtype in NARROW:
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
        *((name, ctypes.c_int32) for name in ("dimensions", "features", "levels", "smooth", "table_type", "workers")),
        ("points", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in ("level", "coords", "table", "grad", "direction", "output", "grad_coords", "grad_table")
        ),
    ]


def grid_call(
    layout: GridLayout,
    interpolation: Interpolation,
    coords: Tensor,
    /,
    table_dtype: torch.dtype | None = None,
    **pointers: int,
) -> GridCall:
    """A call for the points `coords` `[N, D]`, of whose dtype the table is by default; the layout must live until it has
    returned."""
    return GridCall(
        dimensions=layout.dimensions,
        features=layout.features,
        levels=layout.levels,
        smooth=interpolation == "smoothstep",
        table_type=TABLE_TYPES[table_dtype or coords.dtype],
        workers=torch.get_num_threads(),
        points=coords.shape[0],
        level=layout.records.ctypes.data,
        **pointers,
    )


@dataclass(frozen=True)
class GridKernel:
    """The compiled kernels for one layout; coords `[N, D]`, gradients of the features `[N, outputs]`."""

    layout: GridLayout
    interpolation: Interpolation

    def forward(self, coords: Tensor, table: Tensor, direction: Tensor | None = None) -> Tensor:
        """The features; with a direction `[N, D]`, their derivative along it."""
        output = _empty((coords.shape[0], self.layout.outputs), coords)
        self._call("forward", coords=coords, table=table, direction=direction, output=output)
        return output

    def backward(
        self, coords: Tensor, table: Tensor, grad: Tensor, needs: tuple[bool, bool], direction: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients by coords and table of `<grad, forward(coords, table, direction)>`, where `needs` says so; in the
        dtype of coords."""
        grad_coords = _empty(coords.shape, coords) if needs[0] else None
        grad_table = _empty(table.shape, coords) if needs[1] else None
        self._call(
            "backward",
            coords=coords,
            table=table,
            grad=grad,
            direction=direction,
            grad_coords=grad_coords,
            grad_table=grad_table,
        )
        return grad_coords, grad_table

    def _call(self, name: str, coords: Tensor, **tensors: Tensor | None) -> None:
        layout = self.layout
        ready = cuda_calls.ready if coords.is_cuda else Tensor.contiguous
        # The copies must outlive the call, hence the dictionary.
        tensors = {key: ready(t) for key, t in {"coords": coords, **tensors}.items() if t is not None}
        pointers = {key: t.data_ptr() for key, t in tensors.items()}
        call = grid_call(layout, self.interpolation, coords, tensors["table"].dtype, **pointers)
        _run(name, call, coords.device)


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    return memory.empty(shape, like.dtype) if like.device.type == "cpu" else like.new_empty(shape)


def _run(name: str, call: GridCall, device: torch.device) -> None:
    if device.type == "cuda":
        hash_grid_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load(device.type), f"fs_hash_grid_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, kernel: GridKernel) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.kernel = kernel
        return kernel.forward(coords, table)

    @staticmethod
    def backward(ctx, grad: Tensor):
        table = ctx.saved_tensors[1]
        for_coords, for_table = _Backward.apply(*ctx.saved_tensors, grad, ctx.kernel, ctx.needs_input_grad[:2])
        return for_coords, for_table if for_table is None else for_table.to(table.dtype), None


class _Backward(Function):
    """The gradients as a function of coords, table and the gradient of the features, so that it has gradients too."""

    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, grad: Tensor, kernel: GridKernel, needs: tuple[bool, bool]):
        ctx.save_for_backward(coords, table, grad)
        ctx.kernel = kernel
        ctx.set_materialize_grads(False)
        return kernel.backward(coords, table, grad, needs)

    @staticmethod
    def backward(ctx, along: Tensor | None, rows: Tensor | None):
        table = ctx.saved_tensors[1]
        for_coords, for_table, for_grad = _Second.apply(
            *ctx.saved_tensors, along, rows, ctx.kernel, ctx.needs_input_grad[:3]
        )
        return for_coords, for_table if for_table is None else for_table.to(table.dtype), for_grad, None, None


class _Second(Function):
    """Gradients of `<along, grad_coords> + <rows, grad_table>`.

    The first term is <grad, derivative of the features along `along`>; the second is linear in `rows`, and equals
    <grad, features of a table `rows`>.
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
            for_coords, for_table = kernel.backward(coords, table, grad, (need_coords, need_table), along)
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
