"""Encoder of small grids over some or all axes, which are multiplied, summed or put side by side."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import level_weights, weigh_levels
from fields.encoders.footprint import FootprintEncoder, cells_across, fading_weights
from fields.ops.backends import Backend
from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import FactorLayout

# Fills the values `[..., features]` of one grid in place; the second argument are the axes of that grid.
GridInitializer = Callable[[Tensor, tuple[int, ...]], object]


class FactorGrid(FootprintEncoder):
    """Coords `[..., D]` in [0, 1] → features `[..., layout.outputs]`, interpolated from the grids of `layout`.

    `initialize` fills each grid `[..., features]` in place. The slots of the layout are `levels` equal parts, coarse
    to fine. With `coarse_to_fine` they have weights (`gates`), which `set_progress` moves. The weights are a buffer,
    because a fit that is stopped before all levels are in full use needs them. Over a region the features of levels
    with smaller cells fade, but for the coarsest.
    """

    gates: Tensor | None

    def __init__(
        self,
        layout: FactorLayout,
        backend: Backend,
        initialize: GridInitializer,
        *,
        levels: int = 1,
        coarse_to_fine: bool = False,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.requested_backend: Backend = backend
        self.outputs = layout.outputs
        table = torch.empty(layout.entries, layout.features)
        for factor, grid in zip(layout.factors, layout.grids(table)):
            initialize(grid, factor.axes)
        self.table = nn.Parameter(table)
        self.levels = levels
        self.register_buffer("gates", torch.ones(levels) if coarse_to_fine else None)

    @property
    def grids(self) -> list[Tensor]:
        """Views of the table, one for each factor: `[nodes of its last axis, ..., of its first, features]`."""
        return list(self.layout.grids(self.table))

    def set_progress(self, progress: float) -> None:
        """Weigh the levels for `progress` of the coarse-to-fine schedule: the coarsest alone at 0, all at 1."""
        if self.gates is None:
            raise ValueError("this grid was built without a coarse-to-fine schedule")
        self.gates.copy_(level_weights(self.levels, progress))

    @property
    def fades(self) -> bool:
        return self.levels > 1

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        features = factor_grid(coords, self.table, self.layout, self.requested_backend)
        features = weigh_levels(features, self.gates)
        if footprint is None or not self.fades:
            return features
        # Without its coarsest level nothing would be left of a region that is larger than all cells.
        cells = torch.tensor(self._cells()[1:], dtype=coords.dtype, device=coords.device)
        weights = fading_weights(cells_across(footprint, cells))
        return weigh_levels(features, torch.cat([torch.ones_like(weights[..., :1]), weights], dim=-1))

    def _cells(self) -> list[list[int]]:
        """Cells of each level along each axis of the domain, 0 where no grid of the level has it."""
        slots = len(self.layout.slots) // self.levels
        levels = [self.layout.slots[first : first + slots] for first in range(0, len(self.layout.slots), slots)]
        cells = []
        for level in levels:
            along = [0] * self.layout.dimensions
            for factor in (factor for slot in level for product in slot for factor in product):
                for axis, nodes in zip(factor.axes, factor.nodes):
                    along[axis] = max(along[axis], nodes - 1)
            cells.append(along)
        return cells

    def total_variation(self) -> Tensor:
        """Mean squared difference of neighbouring nodes, summed over the axes of each grid, mean over the grids."""
        return torch.stack([_total_variation(grid) for grid in self.grids]).mean()

    def mean_absolute(self, rest_value: Callable[[tuple[int, ...]], float]) -> Tensor:
        """Mean distance of each grid's values from `rest_value(axes)`, mean over the grids: the L1 penalty."""
        parts = [(grid - rest_value(factor.axes)).abs().mean() for factor, grid in zip(self.layout.factors, self.grids)]
        return torch.stack(parts).mean()


def _total_variation(grid: Tensor) -> Tensor:
    """Mean squared difference of neighbouring nodes of one grid `[..., features]`, summed over its axes."""
    axes = [axis for axis in range(grid.ndim - 1) if grid.shape[axis] > 1]
    return sum((grid.diff(dim=axis).square().mean() for axis in axes), grid.new_zeros(()))
