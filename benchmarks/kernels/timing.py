"""Medians of repeated calls within one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def median_seconds(function: Callable[[], object], repeats: int = 9) -> float:
    function()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return median(times)


def one_and_all_threads(id: str, prepare: Callable[[], Callable[[], object]]) -> tuple[float, dict]:
    """Seconds on all threads, and a row: how many times faster that is than one thread."""
    import torch

    threads = torch.get_num_threads()
    together = median_seconds(prepare())
    torch.set_num_threads(1)
    alone = median_seconds(prepare())
    torch.set_num_threads(threads)
    return together, {"id": f"{id}-scaling-1-to-{threads}", "value": round(alone / together, 2), "unit": "times"}
