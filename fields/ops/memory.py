"""Memory for large results on the CPU, kept for the next call when a result is freed.

The allocator gives blocks of this size back to the system at once; getting them anew, page by page and cleared, took up to a fifth of
a call of the hash grid.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

LARGE = 16 << 20  # bytes; less is left to torch
# Bytes that wait for their next use, all together: a thirty-second part of the machine's.
MAX_KEPT = max(256 << 20, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 32)
_LARGE_PAGE = 2 << 20
_NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}

_free: list[mmap.mmap] = []  # oldest first


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An uncleared CPU tensor, contiguous; like `torch.empty` in all that it does, except that it cannot be resized."""
    size = prod(shape) * dtype.itemsize
    if size < LARGE or dtype not in _NUMPY:
        return torch.empty(tuple(shape), dtype=dtype)
    block = _take(size)
    array = np.ndarray(tuple(shape), _NUMPY[dtype], buffer=block)
    # The tensor's storage holds the array, and the array's end is that of the tensor and of all its views.
    weakref.finalize(array, _give, block).atexit = False
    return torch.from_numpy(array)


def _take(size: int) -> mmap.mmap:
    size = -(-size // _LARGE_PAGE) * _LARGE_PAGE
    for block in sorted(_free, key=len):
        if size <= len(block) <= size + size // 4:
            try:
                _free.remove(block)
            except ValueError:  # another thread was first
                continue
            return block
    block = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give(block: mmap.mmap) -> None:
    if len(block) > MAX_KEPT:
        return
    _free.append(block)
    while sum(map(len, list(_free))) > MAX_KEPT:
        try:
            _free.pop(0)
        except IndexError:  # another thread was first
            return
