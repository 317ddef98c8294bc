"""Hash grids `hashgrid{dimensions}d-{log2 of the table}-{fwd|fwdbwd}`.

262,144 points, 16 levels of 2 features, base resolution 16, growth 1.38. The contender `gather` is the ceiling: loops
that only read the rows, or read and then add to them. Its ratio is the fraction of that rate which we reach. On a GPU,
tiny-cuda-nn's grid, with a table in half precision, is a contender instead of Dr.Jit and the loops.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.kernels.case import Case
from benchmarks.kernels.timing import median_seconds, one_and_all_threads

POINTS = 262_144
# Dimensions and log2 of the table size.
GRIDS = [(2, 15), (3, 15), (2, 19), (3, 19)]
CONTENDERS = ("native", "torch", "torch-compiled", "drjit", "gather")


def prepare(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's pass over the grid that the case's id names."""
    grid, table_bits, kind = case.removeprefix("hashgrid").split("-")
    dimensions, backward = int(grid[0]), kind == "fwdbwd"
    if contender == "drjit":
        from benchmarks.baselines.drjit_hash_grid import build

        return build(dimensions, 1 << int(table_bits), POINTS, os.cpu_count() or 1)[backward]

    import torch

    from benchmarks.baselines.hash_grid import TorchHashGrid
    from fields.ops.bench import hash_grid_inputs
    from fields.ops.hash_grid import hash_grid

    layout, *tensors = hash_grid_inputs(dimensions, int(table_bits), POINTS)
    coords, table, upstream = (tensor.to(device) for tensor in tensors)
    if contender == "gather":
        from benchmarks.baselines.gather import RowAdder, RowReader

        return (RowAdder if backward else RowReader)(layout, table, coords, torch.get_num_threads())
    if contender == "native":
        table.requires_grad_()
        encode = lambda: hash_grid(coords, table, layout, backend="native")  # noqa: E731
    elif contender == "tcnn":
        from benchmarks.baselines.tcnn import grid

        module = grid(layout)
        table = next(module.parameters())
        encode = lambda: module(coords).float()  # noqa: E731
    else:
        module = TorchHashGrid(layout, table)
        table = module.table
        run = torch.compile(module) if contender == "torch-compiled" else module
        encode = lambda: run(coords)  # noqa: E731

    def forward() -> None:
        with torch.no_grad():
            encode()

    def forward_backward() -> None:
        table.grad = None
        encode().backward(upstream)

    return forward_backward if backward else forward


CASES = [
    Case(
        f"hashgrid{dimensions}d-{table}-{kind}",
        CONTENDERS,
        prepare,
        quick=(dimensions, table) == GRIDS[0],
        gpu=("tcnn",),
    )
    for dimensions, table in GRIDS
    for kind in ("fwd", "fwdbwd")
]


def throughput() -> list[dict]:
    """Points per second for batches of 2^14 to 2^22 points, and how much the rate varies."""
    import torch

    from fields.ops.grid_layout import GridLayout
    from fields.ops.hash_grid import hash_grid

    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(layout.entries, 2, generator=generator)
    rows = []
    for exponent in range(14, 23, 2):
        coords = torch.rand(1 << exponent, 2, generator=generator)
        encode = lambda: hash_grid(coords, table, layout, backend="native")  # noqa: B023, E731
        seconds = median_seconds(encode, repeats=max(9, (1 << 20) >> exponent))
        rows.append(
            {
                "id": f"hashgrid2d-15-fwd-throughput-{exponent}",
                "value": round(1e-6 * len(coords) / seconds, 1),
                "unit": "M points/s",
                "note": f"2^{exponent} points",
            }
        )
    rates = [row["value"] for row in rows]
    return [
        *rows,
        {
            "id": "hashgrid2d-15-fwd-throughput-spread",
            "value": round(max(rates) / min(rates), 2),
            "unit": "times",
            "note": "the best rate over the worst",
        },
    ]


def scaling() -> list[dict]:
    """Speed-up of all threads over one thread."""
    return [
        one_and_all_threads(id, lambda: prepare("native", id))[1]  # noqa: B023
        for id in ("hashgrid2d-15-fwd", "hashgrid2d-15-fwdbwd", "hashgrid3d-19-fwdbwd")
    ]


def writing() -> list[dict]:
    """Time to write a result of the forward pass's size, into fresh memory and into memory that was kept."""
    import torch

    from fields.ops import buffers

    shape = (POINTS, 32)
    fresh = median_seconds(lambda: torch.full(shape, 1.0))
    kept = median_seconds(lambda: buffers.empty(shape, torch.float32).fill_(1.0))
    return [
        {
            "id": f"hashgrid-write-{name}",
            "value": round(1e3 * seconds, 3),
            "unit": "ms",
            "note": f"33.6 MB into {name} memory",
        }
        for name, seconds in (("fresh", fresh), ("kept", kept))
    ]
