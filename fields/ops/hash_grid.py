"""The multiresolution hash grid: coordinates → features (Müller et al. 2022, section 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.grid_layout import PRIMES, GridLayout, GridLevel

Interpolation = Literal["linear", "smoothstep"]
INTERPOLATIONS = ("linear", "smoothstep")


def hash_grid(coords: Tensor, table: Tensor, layout: GridLayout, interpolation: Interpolation = "linear",
              backend: backends.Backend = "auto") -> Tensor:
    """Features of every level at each point, coarsest level first.

    coords `[..., D]`, clamped to [0, 1] first; table `[layout.entries, layout.features]` of the same dtype (float32 or
    float64) and device → `[..., layout.levels * layout.features]`, the features of a level side by side. At a level
    the position is `scale * x + 0.5`; the 2^D corners of its cell are weighted linearly, or by `3t^2 - 2t^3` of it
    (smoothstep), whose first derivative is continuous.

    Differentiable twice, in coords and table; a third derivative raises. The gradient of a coordinate that was
    clamped is zero; exactly at 0 and 1 it is that of the cell inside. A NaN coordinate gives NaN features.

    backend "native" is the compiled kernel (RuntimeError if it is absent), "torch" the plain formula, "auto" the
    first that there is (`backends.why_not_native` says why it is not the kernel). Exporters always see the formula.
    ValueError for wrong shapes, dtypes, devices or names.
    """
    _check(coords, table, layout, interpolation)
    return hash_grid_reference(coords, table, layout, interpolation)


def hash_grid_reference(coords: Tensor, table: Tensor, layout: GridLayout, interpolation: Interpolation) -> Tensor:
    """The same in plain torch; it judges the kernels, and autograd differentiates it any number of times."""
    x = coords.reshape(-1, layout.dimensions).clamp(0.0, 1.0)
    features = [_level_reference(x, table, layout, level, interpolation) for level in layout.per_level]
    return torch.cat(features, dim=-1).reshape(*coords.shape[:-1], layout.outputs)


def _level_reference(x: Tensor, table: Tensor, layout: GridLayout, level: GridLevel, interpolation: str) -> Tensor:
    position = x * level.scale + 0.5
    cell = position.detach().floor()
    t = position - cell
    if interpolation == "smoothstep":
        t = t * t * (3.0 - 2.0 * t)
    cell = cell.long()
    rows = table[level.offset:level.offset + level.size]
    total = 0.0
    for corner in range(2**layout.dimensions):
        bits = [(corner >> axis) & 1 for axis in range(layout.dimensions)]
        weight = torch.ones_like(t[:, 0])
        for axis, bit in enumerate(bits):
            weight = weight * (t[:, axis] if bit else 1.0 - t[:, axis])
        index = _index([cell[:, axis] + bit for axis, bit in enumerate(bits)], layout, level)
        total = total + weight.unsqueeze(-1) * rows[index]
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


def _check(coords: Tensor, table: Tensor, layout: GridLayout, interpolation: str) -> None:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is linear or smoothstep, not {interpolation!r}")
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
