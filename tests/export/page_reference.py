"""Programs of pages in numpy: what the viewer's back ends have to compute, for tests without a browser."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn

from fields.encoders.directions import direction_angles, spherical_harmonics
from fields.export.page.program import Tensors
from fields.networks.gaussian_rbf import PROFILES
from fields.ops.factor_grid import factor_grid_reference
from fields.ops.factor_layout import Factor, FactorLayout
from fields.ops.grid_layout import PRIMES
from fields.ops.mlp import activate
from fields.ops.rbf_gather import rbf_gather_reference

MAPS = {
    "cosine": torch.cos,
    "sigmoid": torch.sigmoid,
    "silu": nn.functional.silu,
    "square": torch.square,
    "unit": lambda x: x.clamp(0, 1),
    "nonnegative": lambda x: x.clamp_min(0),
    "exp_half": lambda x: torch.exp(-x / 2),
    **PROFILES,
}


def run(program: dict[str, Any], tensors: Tensors, *inputs: torch.Tensor) -> torch.Tensor:
    """The result `[N, size]` of a program for inputs `[N, size]`."""
    held = {name: torch.from_numpy(array) for name, array in tensors.arrays.items()}
    values = list(inputs)
    for step in program["steps"]:
        values.append(_step(step, [values[i] for i in step["in"]], held))
        assert values[-1].shape == (len(inputs[0]), step["size"]), step
    return values[program["output"]]


def _step(step: dict[str, Any], given: list[torch.Tensor], held: dict[str, torch.Tensor]) -> torch.Tensor:
    x, op = given[0], step["op"]
    if op == "affine":
        return x * step["mul"] + step["add"]
    if op == "concat":
        return torch.cat(given, dim=-1)
    if op == "slice":
        return x[:, step["start"] : step["start"] + step["size"]]
    if op == "linear":
        return nn.functional.linear(x, held[step["weight"]], held.get(step.get("bias", "")))
    if op == "vector":
        return x * held.get(step.get("mul", ""), 1.0) + held.get(step.get("add", ""), 0.0)
    if op == "map":
        name = step["function"]
        return MAPS[name](x) if name in MAPS else activate(x, name, step["omega"], step["scale"])
    if op in ("add", "multiply"):
        return given[0] + given[1] if op == "add" else given[0] * given[1]
    if op in ("scale_by", "shift_by"):
        by = given[1][:, step["index"], None]
        return x * by if op == "scale_by" else x + by
    if op == "standardize":
        return nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5)
    if op == "gabor":
        return activate(x, "gabor", step["omega"], step["scale"])
    if op == "kan_basis":
        from fields.networks.kan import KanLayer

        return KanLayer(1, 1, step["basis"], torch.Generator()).functions(x)
    if op == "harmonics":
        return spherical_harmonics(x, step["degree"])
    if op == "angles":
        return direction_angles(x)
    if op == "smooth_cells":
        cells = torch.tensor(step["cells"], dtype=torch.float32)
        position = x.clamp(0, 1) * cells
        t = position - position.floor()
        return (position - t + t * t * (3 - 2 * t)) / cells
    return {"hash_grid": _hash_grid, "factor_grid": _factor_grid, "kernels": _kernels}[op](step, x, held)


def _hash_grid(step: dict[str, Any], x: torch.Tensor, held: dict[str, torch.Tensor]) -> torch.Tensor:
    table, found = held[step["table"]], []
    for offset, scale, resolution, size, hashed in step["levels"]:
        position = x.clamp(0, 1) * scale + 0.5
        cell = position.floor()
        t = position - cell
        t = t * t * (3 - 2 * t) if step["smooth"] else t
        total = torch.zeros(len(x), step["features"])
        for corner in range(2 ** x.shape[1]):
            upper = [corner >> axis & 1 for axis in range(x.shape[1])]
            weight = reduce(torch.mul, (t[:, a] if up else 1 - t[:, a] for a, up in enumerate(upper)))
            point = cell.numpy().astype(np.int64) + np.array(upper)
            if hashed:
                index = reduce(np.bitwise_xor, ((point[:, a] * PRIMES[a]) & 0xFFFFFFFF for a in range(x.shape[1])))
            else:
                index, stride = np.zeros(len(x), np.int64), 1
                for axis in range(x.shape[1]):
                    index = index + point[:, axis] * (stride if stride <= size else 0)
                    stride *= resolution
            total += weight[:, None] * table[offset + index % size]
        found.append(total)
    return torch.cat(found, dim=-1)


def _factor_grid(step: dict[str, Any], x: torch.Tensor, held: dict[str, torch.Tensor]) -> torch.Tensor:
    slots = tuple(
        tuple(tuple(Factor(tuple(axes), tuple(nodes)) for _, axes, nodes in product) for product in slot)
        for slot in step["slots"]
    )
    layout = FactorLayout(x.shape[1], step["features"], slots, step["ends"])
    return factor_grid_reference(x, held[step["table"]], layout)


def _kernels(step: dict[str, Any], x: torch.Tensor, held: dict[str, torch.Tensor]) -> torch.Tensor:
    centres = held[step["centres"]]
    nearest = torch.cdist(x, centres).topk(step["neighbours"], largest=False).indices.int()
    return rbf_gather_reference(
        x,
        nearest,
        centres=centres,
        shapes=held[step["shapes"]],
        features=held[step["features"]],
        frequencies=held.get(step.get("frequencies", "")),
        phases=held.get(step.get("phases", "")),
        kernel=step["kernel"],
        normalise="full" if step["normalise"] else "none",
    )
