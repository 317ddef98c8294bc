"""What the machine gives: matrix products of the MLP's and of a large shape, the MLP's share of the former's rate, and two threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from benchmarks.kernels import mlps, step


def ceilings() -> list[dict]:
    import torch

    rows = []
    for label, (m, k, n) in {"matmul-65536x64x64": (65536, 64, 64), "matmul-2048": (2048, 2048, 2048)}.items():
        a, b = torch.randn(m, k), torch.randn(k, n)
        seconds = median_seconds(lambda: a @ b)  # noqa: B023
        rows.append({"id": label, "value": round(2e-9 * m * k * n / seconds, 1), "unit": "GFLOP/s"})
    rate = 1e-9 * mlps.OPERATIONS / median_seconds(mlps.pass_alone())
    for ceiling in list(rows):
        rows.append({"id": "step2d-15-mlp-rate", "value": round(rate, 1), "unit": "GFLOP/s", "against": ceiling["id"],
                     "against_value": ceiling["value"], "ratio": round(rate / ceiling["value"], 2),
                     "note": "the step's MLP alone, forward and back"})
    both = median_seconds(step.prepare("native"))
    operations = 6 * step.POINTS * (32 * 64 + 64 * 64 + 64 * 3)
    rows.append({"id": "step2d-15-rate", "value": round(1e-9 * operations / both, 1), "unit": "GFLOP/s",
                 "note": "the MLP's operations over the time of the whole step, grid and Adam included"})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = median_seconds(step.prepare("native"))
    torch.set_num_threads(threads)
    rows.append({"id": f"step2d-15-scaling-1-to-{threads}", "value": round(alone / both, 2), "unit": "times"})
    return rows


def median_seconds(function: Callable[[], object], repeats: int = 9) -> float:
    function()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return median(times)
