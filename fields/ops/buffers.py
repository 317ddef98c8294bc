"""Pool of CPU memory for large results: the memory of a freed result serves the next one.

The C allocator returns blocks of this size to the system at once. Getting new ones, page by page and cleared, took up
to a fifth of the time of a call of the hash grid.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from scenes.io.memory import total_memory

# Bytes of a result from which on the pool serves it. Smaller ones are left to torch.
MIN_POOLED_BYTES = 16 << 20
# Bytes of all free blocks of the pool together.
MAX_FREE_BYTES = max(256 << 20, total_memory() // 32)
# Blocks are multiples of the system's large pages.
_LARGE_PAGE = 2 << 20
_NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}

# Blocks that no tensor uses, oldest first.
_free: list[mmap.mmap] = []


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Uninitialised contiguous CPU tensor, like `torch.empty`, except that it cannot be resized."""
    size = prod(shape) * dtype.itemsize
    if size < MIN_POOLED_BYTES or dtype not in _NUMPY:
        return torch.empty(tuple(shape), dtype=dtype)
    block = _acquire(size)
    array = np.ndarray(tuple(shape), _NUMPY[dtype], buffer=block)
    # The tensor's storage keeps the array alive, so the array ends with the tensor and all its views.
    weakref.finalize(array, _release, block).atexit = False
    return torch.from_numpy(array)


def _acquire(size: int) -> mmap.mmap:
    """A block of at least `size` bytes: a free one that is at most a quarter too large, else a new one."""
    size = -(-size // _LARGE_PAGE) * _LARGE_PAGE
    for block in sorted(_free, key=len):
        if size <= len(block) <= size + size // 4:
            try:
                _free.remove(block)
            except ValueError:  # another thread was first
                continue
            return block
    block = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # only Linux has it
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _release(block: mmap.mmap) -> None:
    """Put a block back into the pool, and drop the oldest ones beyond MAX_FREE_BYTES."""
    if len(block) > MAX_FREE_BYTES:
        return
    _free.append(block)
    while sum(map(len, list(_free))) > MAX_FREE_BYTES:
        try:
            _free.pop(0)
        except IndexError:  # another thread was first
            return
