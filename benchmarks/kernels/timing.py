"""Medians of repeated calls within one process. Without torch, which some contenders' processes must not load."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def seconds_of(function: Callable[[], object], device: str = "cpu") -> float:
    """Seconds that one call takes; on a GPU until its kernels are done."""
    wait = _nothing
    if device == "cuda":
        import torch

        wait = torch.cuda.synchronize
        wait()
    begun = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - begun


def _nothing() -> None:
    """On the CPU, a call has ended when it returns."""


def median_seconds(function: Callable[[], object], repeats: int = 9) -> float:
    """Median seconds of a call, after one that is not timed."""
    function()
    return median(seconds_of(function) for _ in range(repeats))


def one_and_all_threads(id: str, prepare: Callable[[], Callable[[], object]]) -> tuple[float, dict]:
    """Seconds on all threads, and a row with the speed-up over one thread."""
    import torch

    num_threads = torch.get_num_threads()
    together = median_seconds(prepare())
    torch.set_num_threads(1)
    alone = median_seconds(prepare())
    torch.set_num_threads(num_threads)
    row = {"id": f"{id}-scaling-1-to-{num_threads}", "value": round(alone / together, 2), "unit": "times"}
    return together, row
