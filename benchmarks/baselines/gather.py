"""Ceilings of a hash grid's passes: C++ loops that only read the same rows, or only add to them, in the same order."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import corner_entries

# Points that the kernel takes through one level before the next.
TILE = 4096


class RowReader:
    """Read every row that the grid's forward pass reads at coords `[N, D]`, without computing anything from them."""

    def __init__(self, layout: GridLayout, table: Tensor, coords: Tensor, num_threads: int) -> None:
        if layout.features * table.element_size() != 8:
            raise ValueError("the reader takes rows of 8 bytes")
        tiles = [
            corner_entries(tile, layout, level) + level.offset
            for tile in coords.split(TILE)
            for level in layout.per_level
        ]
        self.row_indices = torch.cat([tile.flatten() for tile in tiles]).to(torch.int32)
        self.table = table.detach().contiguous()
        self.result = torch.empty(num_threads, dtype=torch.int64)
        self.library = _library()

    @property
    def rows(self) -> int:
        """Number of rows that are read."""
        return self.row_indices.numel()

    def __call__(self) -> None:
        self.library.gather_rows(
            ctypes.c_void_p(self.table.data_ptr()),
            ctypes.c_void_p(self.row_indices.data_ptr()),
            ctypes.c_int64(self.rows),
            len(self.result),
            ctypes.c_void_p(self.result.data_ptr()),
        )


class RowAdder(RowReader):
    """Read the rows, then add a number to each of them in a cleared table of gradients, like forward and backward."""

    def __init__(self, layout: GridLayout, table: Tensor, coords: Tensor, num_threads: int) -> None:
        super().__init__(layout, table, coords, num_threads)
        levels = [
            torch.cat([corner_entries(tile, layout, level).flatten() for tile in coords.split(TILE)]) + level.offset
            for level in layout.per_level
        ]
        self.by_level = torch.stack(levels).to(torch.int32)
        self.grad = torch.empty_like(self.table)

    def __call__(self) -> None:
        super().__call__()
        self.grad.zero_()
        self.library.scatter_rows(
            ctypes.c_void_p(self.grad.data_ptr()),
            ctypes.c_void_p(self.by_level.data_ptr()),
            ctypes.c_int64(self.by_level.shape[1]),
            len(self.by_level),
            len(self.result),
            ctypes.c_float(1.0),
        )


@cache
def _library() -> ctypes.CDLL:
    """The library, compiled on the spot. OSError where there is no compiler.

    Without vectorisation, because the gather instruction is slower than single loads.
    """
    source = Path(__file__).with_suffix(".cpp")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gather.so"
        subprocess.run(
            ["c++", "-O3", "-fno-tree-vectorize", "-shared", "-fPIC", "-o", path, source, "-lpthread"], check=True
        )
        return ctypes.CDLL(str(path))
