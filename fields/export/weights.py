"""Write the parameters of a field as arrays: planes, grids, kernels and layers as NPZ, with a description in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fields.encoders.factor_grid import FactorGrid
from fields.encoders.hash_grid import HashGrid
from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.models.field import Field
from fields.ops.factor_layout import FactorLayout
from fields.ops.grid_layout import PRIMES, GridLayout
from scenes.io.atomic import atomic_write

# Version of the description.
FORMAT = 1


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write an array for each tensor of the field, under its name; a table of several grids becomes an array per grid.

    `description` is a JSON text in an array without axes, so that `np.load` needs no pickle for it.
    """
    field, header = source.field, source.stored_run.header
    arrays, tables = arrays_of(field)
    description = {
        "format": FORMAT,
        "kind": source.kind,
        "method": header["method"],
        "options": header["options"],
        "domain": field.domain.to_json(),
        "channels": field.channels.to_json(),
        "parameters": field.num_parameters,
        "tables": tables,
        "arrays": {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()},
    }
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        np.savez(file, description=np.array(json.dumps(description)), **arrays)  # pyright: ignore[reportArgumentType]
    return {
        "arrays": len(arrays),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "text": f"{len(arrays)} arrays, {field.num_parameters:,} parameters in all, and their description",
    }


def arrays_of(field: Field) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """The field's arrays by name, and for each table of several grids the description of its grids."""
    layouts = {
        f"{name}.table" if name else "table": module.layout
        for name, module in field.named_modules()
        if isinstance(module, HashGrid | FactorGrid)
    }
    arrays: dict[str, np.ndarray] = {}
    tables: dict[str, dict[str, Any]] = {}
    for name, tensor in field.state_dict().items():
        values = tensor.detach().cpu().numpy()
        layout = layouts.get(name)
        if layout is None or len(values) != layout.entries:
            arrays[name] = values
            continue
        parts, description = _levels(values, layout) if isinstance(layout, GridLayout) else _factors(values, layout)
        names = [f"{name}.{index:02d}" for index in range(len(parts))]
        arrays |= dict(zip(names, parts))
        for grid, array_name in zip(description["grids"], names):
            grid["array"] = array_name
        tables[name] = description
    return arrays, tables


def _levels(table: np.ndarray, layout: GridLayout) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Arrays of the levels of a hash grid, and their description."""
    grids = [
        {"cells_an_axis": level.scale, "grid_points_an_axis": level.resolution, "hashed": level.hashed}
        for level in layout.per_level
    ]
    description = {
        "sort": "multiresolution hash grid (tiny-cuda-nn's layout)",
        "dimensions": layout.dimensions,
        "features": layout.features,
        "place": "a coordinate x in [0, 1] lies at x * cells_an_axis + 0.5 between the grid points",
        "row": "dense: x + n y + n^2 z with n grid points along an axis; hashed: x ^ (y primes[1]) ^ (z primes[2]) in "
        "32 bits; modulo the array's length",
        "primes": list(PRIMES),
        "grids": grids,
    }
    return [table[level.offset : level.offset + level.size] for level in layout.per_level], description


def _factors(table: np.ndarray, layout: FactorLayout) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Arrays of the factors of a factored grid, and their description."""
    grids = [
        {"axes": list(factor.axes), "nodes": list(factor.nodes), "slot": slot, "product": product}
        for slot, products in enumerate(layout.slots)
        for product, factors in enumerate(products)
        for factor in factors
    ]
    description = {
        "sort": "products of interpolated grids, summed in a slot; slots side by side",
        "dimensions": layout.dimensions,
        "features": layout.features,
        "axes": "an array is [nodes of the last axis, ..., of the first, features]",
        "place": "the first and last node lie at 0 and 1"
        if layout.nodes_at_ends
        else "node i of n lies at (i + 0.5) / n",
        "grids": grids,
    }
    return list(layout.grids(table)), description
