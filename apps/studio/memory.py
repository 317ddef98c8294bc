"""Give memory back: what nobody refers to any more, and what the C library keeps of it for later."""

from __future__ import annotations

import ctypes
import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

V = TypeVar("V")
# How deep arrays are looked for inside of an object.
MAX_DEPTH = 4


def give_back() -> None:
    """Return free memory to the system. Takes some milliseconds; to be called after something large has ended."""
    gc.collect()
    if (trim := _malloc_trim()) is not None:
        trim(0)


class LargeCache(Generic[V]):
    """Keeps values that were used last, up to a number of bytes and seconds. The newest one stays in any case."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.max_bytes = max_bytes
        self.seconds = seconds
        self._lock = Lock()
        # Key: value, its bytes, and the `time.monotonic()` of its last use; the one used last at the end.
        self._kept: OrderedDict[Hashable, tuple[V, int, float]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not kept."""
        with self._lock:
            known = self._kept.pop(key, None)
        value, size = (known[0], known[1]) if known else (None, 0)
        if value is None:
            value = make()
            size = array_bytes(value)
        with self._lock:
            self._kept[key] = value, size, time.monotonic()
            self._drop(keep=1)
        return value

    def expire(self) -> None:
        """Drop what was not used for `seconds`, the newest value included."""
        with self._lock:
            self._drop(keep=0)

    def _drop(self, keep: int) -> None:
        now = time.monotonic()
        total = sum(size for _, size, _ in self._kept.values())
        for key in list(self._kept)[: len(self._kept) - keep]:
            _, size, used = self._kept[key]
            if now - used > self.seconds or (total > self.max_bytes and len(self._kept) > 1):
                del self._kept[key]
                total -= size


def array_bytes(value: object, depth: int = MAX_DEPTH) -> int:
    """Bytes of the numpy arrays that an object refers to, as far as its attributes, lists and tuples show them."""
    if isinstance(value, np.ndarray):
        return 0 if isinstance(value, np.memmap) else value.nbytes
    if depth == 0:
        return 0
    if isinstance(value, (list, tuple)):
        return sum(array_bytes(item, depth - 1) for item in value)
    return sum(array_bytes(item, depth - 1) for item in getattr(value, "__dict__", {}).values())


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; None where there is another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
