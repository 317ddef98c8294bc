"""Rows without a peer: limits of this machine, and our operations beside them, on one thread, and with more points."""

from __future__ import annotations

from benchmarks.kernels import grids, mlps, networks, step
from benchmarks.kernels.timing import median_seconds, one_and_all_threads


def ceilings(only: str) -> list[dict]:
    """The rows of the groups whose id contains `only`."""
    groups = {
        "matmul": matrix_products,
        "step2d-15": whole_step,
        "hashgrid2d-15-fwd-throughput": grids.throughput,
        "hashgrid2d-15-scaling": grids.scaling,
        "hashgrid-write": grids.writing,
        **networks.RATES,
    }
    return [row for id, rows in groups.items() if only in id for row in rows()]


def matrix_products() -> list[dict]:
    """Rates of matrix products of the MLP's and of a large shape, and the MLP's own rate as a fraction of theirs."""
    import torch

    rows = []
    for label, (m, k, n) in {"matmul-65536x64x64": (65536, 64, 64), "matmul-2048": (2048, 2048, 2048)}.items():
        a, b = torch.randn(m, k), torch.randn(k, n)
        seconds = median_seconds(lambda: a @ b)  # noqa: B023
        rows.append({"id": label, "value": round(2e-9 * m * k * n / seconds, 1), "unit": "GFLOP/s"})
    rate = 1e-9 * mlps.OPERATIONS / median_seconds(mlps.pass_alone())
    for ceiling in list(rows):
        rows.append(
            {
                "id": "step2d-15-mlp-rate",
                "value": round(rate, 1),
                "unit": "GFLOP/s",
                "against": ceiling["id"],
                "against_value": ceiling["value"],
                "ratio": round(rate / ceiling["value"], 2),
                "note": "the step's MLP alone, forward and back",
            }
        )
    return rows


def whole_step() -> list[dict]:
    """Rate of the MLP's operations within the whole training step, and the step's speed-up over one thread."""
    both, row = one_and_all_threads("step2d-15", lambda: step.prepare("native"))
    operations = 6 * step.POINTS * (32 * 64 + 64 * 64 + 64 * 3)
    return [
        {
            "id": "step2d-15-rate",
            "value": round(1e-9 * operations / both, 1),
            "unit": "GFLOP/s",
            "note": "the MLP's operations over the time of the whole step, grid and Adam included",
        },
        row,
    ]
