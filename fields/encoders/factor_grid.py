"""Grids over some or all axes, multiplied, summed or side by side, as a module."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import gates, opened
from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import FactorLayout

# (numbers of one grid to be filled, the grid's axes)
Start = Callable[[Tensor, tuple[int, ...]], None]


class FactorGrid(nn.Module):
    """Coords `[..., D]` in [0, 1] → features `[..., layout.outputs]`; `layout.slots` are `levels` equal parts, coarse to fine.

    `start` fills a grid `[..., features]` in place. With `gated`, the levels can be opened one after another (`open`): the
    gates are a buffer, as a fit that is stopped before all are open needs them.
    """

    def __init__(self, layout: FactorLayout, backend: str, start: Start, levels: int = 1, gated: bool = False) -> None:
        super().__init__()
        self.layout = layout
        self.requested_backend = backend
        self.outputs = layout.outputs
        table = torch.empty(layout.entries, layout.features)
        for factor, grid in zip(layout.factors, layout.grids(table)):
            start(grid, factor.axes)
        self.table = nn.Parameter(table)
        self.levels = levels
        self.register_buffer("gates", torch.ones(levels) if gated else None)

    @property
    def grids(self) -> list[Tensor]:
        """Views of the table, one a factor of the layout: `[nodes of the last axis, ..., of the first, features]`."""
        return list(self.layout.grids(self.table))

    def open(self, share: float) -> None:
        """Opens the levels from the coarsest (share 0) to all (1)."""
        self.gates.copy_(gates(self.levels, share))

    def forward(self, coords: Tensor) -> Tensor:
        return opened(factor_grid(coords, self.table, self.layout, self.requested_backend), self.gates)

    def total_variation(self) -> Tensor:
        """Mean squared difference of neighbouring nodes, summed over the axes of each grid, mean over the grids."""
        return torch.stack([_variation(grid) for grid in self.grids]).mean()

    def absolute(self, at_rest: Callable[[tuple[int, ...]], float]) -> Tensor:
        """Mean distance of each grid's numbers from `at_rest(axes)`, mean over the grids (L1)."""
        parts = [(grid - at_rest(factor.axes)).abs().mean() for factor, grid in zip(self.layout.factors, self.grids)]
        return torch.stack(parts).mean()


def _variation(grid: Tensor) -> Tensor:
    axes = [axis for axis in range(grid.ndim - 1) if grid.shape[axis] > 1]
    return sum((grid.diff(dim=axis).square().mean() for axis in axes), grid.new_zeros(()))
