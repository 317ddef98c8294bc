"""The multiresolution hash grid as a module (Müller et al. 2022, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import gates, opened
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import entries_of, hash_grid

NEIGHBOURS = 4096


class HashGrid(nn.Module):
    """Coords `[..., D]` in [0, 1] → features `[..., levels * features]`. With `gated` the levels can be opened one after another (`open`).

    The table starts at U(-1e-4, 1e-4) (section 4, "Initialization"): almost nothing, so that levels which hash
    collisions spoil stay quiet.
    """

    def __init__(
        self, layout: GridLayout, interpolation: str, backend: str, generator: torch.Generator, gated: bool = False
    ) -> None:
        super().__init__()
        self.layout = layout
        self.interpolation = interpolation
        self.requested_backend = backend
        self.outputs = layout.outputs
        table = torch.empty(layout.entries, layout.features).uniform_(-1e-4, 1e-4, generator=generator)
        self.table = nn.Parameter(table)
        self.register_buffer("gates", torch.ones(layout.levels) if gated else None)

    def open(self, share: float) -> None:
        """Opens the levels from the coarsest (share 0) to all (1)."""
        self.gates.copy_(gates(self.layout.levels, share))

    def forward(self, coords: Tensor) -> Tensor:
        return opened(
            hash_grid(coords, self.table, self.layout, self.interpolation, self.requested_backend), self.gates
        )

    def total_variation(self, seed: int) -> Tensor:
        """Of about 4,096 random points of each level, the squared difference from the next point along each axis, summed over the axes: mean over the
        levels. What shares an entry is compared with what it is not beside: collisions are smoothed too."""
        random, layout = torch.Generator().manual_seed(seed), self.layout
        total = self.table.new_zeros(())
        for level in layout.per_level:
            points = torch.randint(
                0, max(1, level.resolution - 1), (NEIGHBOURS, layout.dimensions), generator=random
            ).to(self.table.device)
            rows = self.table[level.offset : level.offset + level.size]
            here = rows[entries_of(points, layout, level)]
            for axis in range(layout.dimensions):
                beside = points.clone()
                beside[:, axis] += 1
                total = total + (rows[entries_of(beside, layout, level)] - here).square().mean()
        return total / layout.levels
