"""Sums of products of interpolated grids: coordinates to features.

One operation for tri-planes (planes summed, multiplied or concatenated), TensoRF's planes times lines and lines alone,
k-planes, dense grids of 1 to 4 dimensions, and CAM's small scale and shift grids. The layout tells them apart.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, factor_grid_cuda
from fields.ops.factor_layout import Factor, FactorLayout


def factor_grid(coords: Tensor, table: Tensor, layout: FactorLayout, backend: backends.Backend = "auto") -> Tensor:
    """Features of each point, `[..., layout.outputs]`: in every slot a sum of products of multilinear interpolations.

    coords: `[..., D]`. Outside [0, 1] the features are those at the border.
    table: `[layout.entries, layout.features]`, of the dtype (float32 or float64) and on the device of coords. backend:
    "native" is the compiled kernel, "torch" the reference in plain torch, "auto" the kernel where there is one.
    Exporters always see the reference.

    Differentiable twice, in coords and table; a third derivative raises RuntimeError in the native backend. The
    gradient of a coordinate is zero where its position was clamped to the outermost nodes, and exactly on these nodes
    that of the cell inside. A NaN coordinate gives NaN in the features that depend on it.

    Raises ValueError for wrong shapes, dtypes, devices or names, and RuntimeError if "native" is absent.
    """
    check_factor_grid(coords, table, layout)
    if backends.choose(backend, backends.device_type(coords)) == "torch":
        return factor_grid_reference(coords, table, layout)
    flat = coords.reshape(-1, layout.dimensions)
    features = _Forward.apply(flat, table, FactorKernel(layout))
    return features.reshape(*coords.shape[:-1], layout.outputs)


def factor_grid_reference(coords: Tensor, table: Tensor, layout: FactorLayout) -> Tensor:
    """`factor_grid` in plain torch, differentiable any number of times. The kernels are tested against it."""
    x = coords.reshape(-1, layout.dimensions)
    positions = {(axis, nodes): _cell_and_fraction(x[:, axis], nodes, layout) for axis, nodes in layout.grid_axes}
    rows: dict[Factor, list[Tensor]] = {}
    for factor, offset in zip(layout.factors, layout.offsets):
        rows.setdefault(factor, []).append(table[offset : offset + factor.entries])
    slots = []
    for slot in layout.slots:
        products = (
            reduce(torch.mul, (_interpolate(factor, rows[factor].pop(0), positions) for factor in product))
            for product in slot
        )
        slots.append(reduce(torch.add, products))
    return torch.cat(slots, dim=-1).reshape(*coords.shape[:-1], layout.outputs)


def _cell_and_fraction(x: Tensor, nodes: int, layout: FactorLayout) -> tuple[Tensor, Tensor]:
    """The node before each coordinate, and the fraction of the cell between that node and the coordinate."""
    scale, shift = layout.position(nodes)
    position = (x * scale + shift).clamp(0.0, nodes - 1.0)
    cell = position.detach().nan_to_num(0.0).floor().clamp(max=max(nodes - 2, 0))
    return cell.long(), position - cell


def _interpolate(factor: Factor, rows: Tensor, positions: dict[tuple[int, int], tuple[Tensor, Tensor]]) -> Tensor:
    """Multilinear interpolation of one factor's rows `[entries, features]`: `[N, features]`."""
    axes = [positions[pair] for pair in zip(factor.axes, factor.nodes)]

    def weighted(corner: int) -> Tensor:
        entries, weights, stride = [], [], 1
        for i, ((cell, fraction), nodes) in enumerate(zip(axes, factor.nodes)):
            upper = corner >> i & 1
            entries.append((cell + min(upper, nodes - 1)) * stride)
            weights.append(fraction if upper else 1.0 - fraction)
            stride *= nodes
        return reduce(torch.mul, weights).unsqueeze(-1) * rows[reduce(torch.add, entries)]

    return reduce(torch.add, map(weighted, range(2 ** len(axes))))


def check_factor_grid(coords: Tensor, table: Tensor, layout: FactorLayout) -> None:
    """Raise ValueError unless coords and table fit the layout."""
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
    """`FactorCall` in csrc/common/factor_grid.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in (
                "dimensions",
                "features",
                "grid_axes",
                "factors",
                "products",
                "slots",
                "is_double",
                "num_threads",
            )
        ),
        ("points", ctypes.c_int64),
        ("entries", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "grid_axis",
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
    """Compiled kernels of one layout, for coords `[N, D]` and gradients of the features `[N, outputs]`.

    With a direction `[N, D]`, rows `[entries, features]`, or both, every result is replaced by its directional
    derivative: coords move along `direction` and the table along `rows`.
    """

    layout: FactorLayout

    def forward(
        self, coords: Tensor, table: Tensor, direction: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """Features `[N, outputs]`, or their directional derivative."""
        output = coords.new_empty(coords.shape[0], self.layout.outputs)
        self._call("forward", coords=coords, table=table, direction=direction, rows=rows, output=output)
        return output

    def backward(
        self,
        coords: Tensor,
        table: Tensor,
        grad: Tensor,
        needs: tuple[bool, bool],
        *,
        direction: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of `<grad, features>` with respect to coords and table, or their directional derivatives.

        needs: whether each of the two is wanted; the other is None.
        """
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
        # The copies must outlive the call, so the dictionary holds them.
        held = {key: t.contiguous() for key, t in {"coords": coords, **tensors}.items() if t is not None}
        axes, factors, products = layout.records
        call = FactorCall(
            dimensions=layout.dimensions,
            features=layout.features,
            grid_axes=len(axes),
            factors=len(factors),
            products=len(products),
            slots=len(layout.slots),
            is_double=coords.dtype == torch.float64,
            num_threads=torch.get_num_threads(),
            points=coords.shape[0],
            entries=layout.entries,
            grid_axis=axes.ctypes.data,
            factor=factors.ctypes.data,
            product=products.ctypes.data,
            **{key: t.data_ptr() for key, t in held.items()},
        )
        _run(name, call, coords.device)


def _run(name: str, call: FactorCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        factor_grid_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load(backends.device_type(device)), f"fs_factor_grid_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, kernel: FactorKernel) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.kernel = kernel
        return kernel.forward(coords, table)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return *_Backward.apply(*ctx.saved_tensors, grad, ctx.kernel, ctx.needs_input_grad[:2]), None


class _Backward(Function):
    """Gradients as a function of coords, table and the features' gradient, so that they can be differentiated again."""

    @staticmethod
    def forward(ctx, coords: Tensor, table: Tensor, grad: Tensor, kernel: FactorKernel, needs: tuple[bool, bool]):
        ctx.save_for_backward(coords, table, grad)
        ctx.kernel = kernel
        ctx.set_materialize_grads(False)
        return kernel.backward(coords, table, grad, needs)

    @staticmethod
    def backward(ctx, along: Tensor | None, rows: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        return *_Second.apply(*ctx.saved_tensors, along, rows, ctx.kernel, ctx.needs_input_grad[:3]), None, None


class _Second(Function):
    """Gradients of `<along, grad_coords> + <rows, grad_table>`.

    That sum equals `<grad, directional derivative of the features along (along, rows)>`. So its gradients with respect
    to coords and table are the directional derivatives of the first-order gradients, and its gradient with respect to
    grad is the directional derivative of the features.
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
        return *kernel.backward(coords, table, grad, needs[:2], direction=along, rows=rows), by_grad

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("factor_grid has no third derivative in the native backend; use backend='torch'")
