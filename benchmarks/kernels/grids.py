"""`hashgrid{dimensions}d-{log2 of the table}-{fwd|fwdbwd}`: 262,144 points, 16 levels of 2 features, base 16, growth 1.38.

`gather` is the ceiling of a forward pass: its ratio is the share of it that we reach.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS = 262_144
GRIDS = [(2, 15), (3, 15), (2, 19), (3, 19)]


def prepare(contender: str, case: str) -> Callable[[], object]:
    grid, table, kind = case.removeprefix("hashgrid").split("-")
    dimensions, backward = int(grid[0]), kind == "fwdbwd"
    if contender == "drjit":
        from benchmarks.baselines.drjit_hash_grid import build

        return build(dimensions, 1 << int(table), POINTS, os.cpu_count())[backward]

    import torch

    from benchmarks.baselines.hash_grid import TorchHashGrid
    from fields.ops.grid_layout import GridLayout
    from fields.ops.hash_grid import hash_grid

    layout = GridLayout(dimensions, 16, 2, 16, 1.38, 1 << int(table))
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(POINTS, dimensions, generator=generator)
    table = torch.randn(layout.entries, 2, generator=generator)
    upstream = torch.randn(POINTS, layout.outputs, generator=generator)
    if contender == "gather":
        from benchmarks.baselines.gather import RowReader

        return RowReader(layout, table, coords, torch.get_num_threads())
    if contender == "native":
        table.requires_grad_()
        encode = lambda: hash_grid(coords, table, layout, backend="native")  # noqa: E731
    else:
        module = TorchHashGrid(layout, table)
        table = module.table
        if contender == "torch-compiled":
            module = torch.compile(module)
        encode = lambda: module(coords)  # noqa: E731

    def forward() -> None:
        with torch.no_grad():
            encode()

    def forward_backward() -> None:
        table.grad = None
        encode().backward(upstream)

    return forward_backward if backward else forward


CONTENDERS = {"fwd": ("native", "torch", "torch-compiled", "drjit", "gather"), "fwdbwd": ("native", "torch", "torch-compiled", "drjit")}
CASES = [Case(f"hashgrid{dimensions}d-{table}-{kind}", CONTENDERS[kind], prepare, quick=(dimensions, table) == GRIDS[0])
         for dimensions, table in GRIDS for kind in CONTENDERS]
