"""Sums of products of interpolated grids: coordinates → features.

One operation for tri-planes (planes summed, multiplied or side by side), TensoRF's planes times lines and lines alone,
k-planes, dense grids of 1 to 4 dimensions, and CAM's small scale and shift grids; the layout says which.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, factor_grid_cuda
from fields.ops.factor_layout import Factor, FactorLayout


def factor_grid(coords: Tensor, table: Tensor, layout: FactorLayout, backend: backends.Backend = "auto") -> Tensor:
    """Features of each point: in every slot of the layout a sum of products of multilinear interpolations.

    coords `[..., D]`; table `[layout.entries, layout.features]` of the same dtype (float32 or float64) and device →
    `[..., layout.outputs]`. Outside [0, 1] a coordinate has the border's value.

    Differentiable twice, in coords and table; a third derivative raises in the native backend. The gradient of a
    coordinate is zero where its position was clamped to the outermost nodes, and exactly on these that of the cell
    inside. A NaN coordinate gives NaN in the features that depend on it.

    backend "native" is the compiled kernel (RuntimeError if it is absent), "torch" the plain formula, "auto" the
    first that there is. Exporters always see the formula. ValueError for wrong shapes, dtypes, devices or names.
    """
    check_factor_grid(coords, table, layout)
    if backends.choose(backend, coords.device.type) == "torch":
        return factor_grid_reference(coords, table, layout)
    flat = coords.reshape(-1, layout.dimensions)
    features = _Forward.apply(flat, table, FactorKernel(layout))
    return features.reshape(*coords.shape[:-1], layout.outputs)


def factor_grid_reference(coords: Tensor, table: Tensor, layout: FactorLayout) -> Tensor:
    """The same in plain torch; it judges the kernels, and autograd differentiates it any number of times."""
    x = coords.reshape(-1, layout.dimensions)
    places = {(axis, nodes): _place(x[:, axis], nodes, layout) for axis, nodes in layout.rulers}
    rows = {}
    for factor, offset in zip(layout.factors, layout.offsets):
        rows.setdefault(factor, []).append(table[offset : offset + factor.entries])
    slots = []
    for slot in layout.slots:
        total = 0.0
        for product in slot:
            value = 1.0
            for factor in product:
                value = value * _interpolate(factor, rows[factor].pop(0), places)
            total = total + value
        slots.append(total)
    return torch.cat(slots, dim=-1).reshape(*coords.shape[:-1], layout.outputs)


def _place(x: Tensor, nodes: int, layout: FactorLayout) -> tuple[Tensor, Tensor]:
    """(the node before each point, the share of the cell that lies between that and the point)."""
    scale, shift = layout.position(nodes)
    position = (x * scale + shift).clamp(0.0, nodes - 1.0)
    cell = position.detach().nan_to_num(0.0).floor().clamp(max=max(nodes - 2, 0))
    return cell.long(), position - cell


def _interpolate(factor: Factor, rows: Tensor, places: dict) -> Tensor:
    total = 0.0
    found = [places[pair] for pair in zip(factor.axes, factor.nodes)]
    for corner in range(2 ** len(found)):
        entry, weight, step = 0, 1.0, 1
        for i, ((cell, share), nodes) in enumerate(zip(found, factor.nodes)):
            upper = corner >> i & 1
            entry = entry + (cell + min(upper, nodes - 1)) * step
            weight = weight * (share if upper else 1.0 - share)
            step *= nodes
        total = total + weight.unsqueeze(-1) * rows[entry]
    return total


def check_factor_grid(coords: Tensor, table: Tensor, layout: FactorLayout) -> None:
    if coords.ndim < 1 or coords.shape[-1] != layout.dimensions:
        raise ValueError(f"coords must be [..., {layout.dimensions}], not {list(coords.shape)}")
    if table.shape != (layout.entries, layout.features):
        raise ValueError(f"the table must be [{layout.entries}, {layout.features}], not {list(table.shape)}")
    if table.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"the table must be float32 or float64, not {table.dtype}")
    if coords.dtype != table.dtype:
        raise ValueError(f"coords and table must have one dtype, not {coords.dtype} and {table.dtype}")
    if coords.device != table.device:
        raise ValueError(f"coords and table must be on one device, not {coords.device} and {table.device}")


class FactorCall(ctypes.Structure):
    """`FactorCall` in csrc/common/factors.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in ("dimensions", "features", "rulers", "factors", "products", "slots", "is_double", "workers")
        ),
        ("points", ctypes.c_int64),
        ("entries", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "ruler",
                "factor",
                "product",
                "coords",
                "table",
                "grad",
                "direction",
                "rows",
                "output",
                "grad_coords",
                "grad_table",
            )
        ),
    ]


@dataclass(frozen=True)
class FactorKernel:
    """The compiled kernels for one layout; coords `[N, D]`, gradients of the features `[N, outputs]`.

    With a direction `[N, D]` and/or rows `[entries, features]`, the first order gives way to the second: everything is
    then the change of what it else is, as coords go along `direction` and the table along `rows`.
    """

    layout: FactorLayout

    def forward(
        self, coords: Tensor, table: Tensor, direction: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """The features."""
        output = coords.new_empty(coords.shape[0], self.layout.outputs)
        self._call("forward", coords=coords, table=table, direction=direction, rows=rows, output=output)
        return output

    def backward(
        self,
        coords: Tensor,
        table: Tensor,
        grad: Tensor,
        needs: tuple[bool, bool],
        direction: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients by coords and table of `<grad, features>`, where `needs` says so."""
        grad_coords = torch.empty_like(coords, memory_format=torch.contiguous_format) if needs[0] else None
        grad_table = torch.empty_like(table, memory_format=torch.contiguous_format) if needs[1] else None
        if any(needs):
            self._call(
                "backward",
                coords=coords,
                table=table,
                grad=grad,
                direction=direction,
                rows=rows,
                grad_coords=grad_coords,
                grad_table=grad_table,
            )
        return grad_coords, grad_table

    def _call(self, name: str, coords: Tensor, **tensors: Tensor | None) -> None:
        layout = self.layout
        # The copies must outlive the call, hence the dictionary.
        tensors = {key: t.contiguous() for key, t in {"coords": coords, **tensors}.items() if t is not None}
        rulers, factors, products = layout.records
        call = FactorCall(
            dimensions=layout.dimensions,
            features=layout.features,
            rulers=len(rulers),
            factors=len(factors),
            products=len(products),
            slots=len(layout.slots),
            is_double=coords.dtype == torch.float64,
            workers=torch.get_num_threads(),
            points=coords.shape[0],
            entries=layout.entries,
            ruler=rulers.ctypes.data,
            factor=factors.ctypes.data,
            product=products.ctypes.data,
            **{key: t.data_ptr() for key, t in tensors.items()},
        )
        _run(name, call, coords.device)


def _run(name: str, call: FactorCall, device: torch.device) -> None:
    if device.type == "cuda":
        factor_grid_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load(device.type), f"fs_factor_grid_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, kernel: FactorKernel) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.kernel = kernel
        return kernel.forward(coords, table)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return *_Backward.apply(*ctx.saved_tensors, grad, ctx.kernel, ctx.needs_input_grad[:2]), None


class _Backward(Function):
    """The gradients as a function of coords, table and the gradient of the features, so that it has gradients too."""

    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, grad: Tensor, kernel: FactorKernel, needs: tuple[bool, bool]):
        ctx.save_for_backward(coords, table, grad)
        ctx.kernel = kernel
        ctx.set_materialize_grads(False)
        return kernel.backward(coords, table, grad, needs)

    @staticmethod
    def backward(ctx, along: Tensor | None, rows: Tensor | None):
        return *_Second.apply(*ctx.saved_tensors, along, rows, ctx.kernel, ctx.needs_input_grad[:3]), None, None


class _Second(Function):
    """Gradients of `<along, grad_coords> + <rows, grad_table>`.

    That sum is <grad, change of the features along (along, rows)>. So its gradients by coords and table are the change of
    the first order's along the same, and that by grad is the change of the features.
    """

    @staticmethod
    def forward(
        ctx,
        coords: Tensor,
        table: Tensor,
        grad: Tensor,
        along: Tensor | None,
        rows: Tensor | None,
        kernel: FactorKernel,
        needs: tuple[bool, bool, bool],
    ):
        if along is None and rows is None:
            return None, None, None
        by_grad = kernel.forward(coords, table, along, rows) if needs[2] else None
        return *kernel.backward(coords, table, grad, needs[:2], along, rows), by_grad

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("factor_grid has no third derivative in the native backend; use backend='torch'")
