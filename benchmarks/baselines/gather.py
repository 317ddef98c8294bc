"""The ceiling of a hash grid's forward pass: a C++ loop that only reads the same rows, in the order in which we read them."""

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

TILE = 4096  # points that the kernel takes a level at a time


class RowReader:
    """Reads every row that the grid's forward pass reads at `coords` `[N, D]`, without computing anything from them."""

    def __init__(self, layout: GridLayout, table: Tensor, coords: Tensor, threads: int) -> None:
        if layout.features * table.element_size() != 8:
            raise ValueError("the reader takes rows of 8 bytes")
        tiles = [corner_entries(tile, layout, level) + level.offset
                 for tile in coords.split(TILE) for level in layout.per_level]
        self.at = torch.cat([tile.flatten() for tile in tiles]).to(torch.int32)
        self.table = table.detach().contiguous()
        self.result = torch.empty(threads, dtype=torch.int64)
        self.library = _library()

    @property
    def rows(self) -> int:
        return self.at.numel()

    def __call__(self) -> None:
        self.library.gather_rows(ctypes.c_void_p(self.table.data_ptr()), ctypes.c_void_p(self.at.data_ptr()),
                                 ctypes.c_int64(self.rows), len(self.result), ctypes.c_void_p(self.result.data_ptr()))


@cache
def _library() -> ctypes.CDLL:
    """Compiled on the spot (loads one by one: the gather instruction is slower); an OSError where there is
    no compiler."""
    source = Path(__file__).with_suffix(".cpp")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gather.so"
        subprocess.run(["c++", "-O3", "-fno-tree-vectorize", "-shared", "-fPIC", "-o", path, source, "-lpthread"], check=True)
        return ctypes.CDLL(str(path))
