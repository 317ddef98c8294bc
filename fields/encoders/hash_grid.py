"""Encoder of a multiresolution hash grid (Müller et al. 2022, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import level_weights, weigh_levels
from fields.encoders.footprint import FootprintEncoder, cells_across, fading_weights
from fields.ops.backends import Backend
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import Interpolation, hash_grid, point_entries

# Random points of each level at which the total variation is measured in a step.
VARIATION_SAMPLES = 4096


class HashGrid(FootprintEncoder):
    """Coords `[..., D]` in [0, 1] → features `[..., levels * features]`, interpolated from the entries of a table.

    The table `[entries, features]` starts at U(-1e-4, 1e-4) (section 4, "Initialization"): so near to zero that
    levels which hash collisions spoil stay quiet. With `coarse_to_fine` the levels have weights (`gates`, a buffer),
    which `set_progress` moves. Over a region the features of levels with smaller cells fade.
    """

    gates: Tensor | None

    def __init__(
        self,
        layout: GridLayout,
        interpolation: Interpolation,
        backend: Backend,
        generator: torch.Generator,
        *,
        coarse_to_fine: bool = False,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.interpolation: Interpolation = interpolation
        self.requested_backend: Backend = backend
        self.outputs = layout.outputs
        table = torch.empty(layout.entries, layout.features).uniform_(-1e-4, 1e-4, generator=generator)
        self.table = nn.Parameter(table)
        self.register_buffer("gates", torch.ones(layout.levels) if coarse_to_fine else None)

    def set_progress(self, progress: float) -> None:
        """Weigh the levels for `progress` of the coarse-to-fine schedule: the coarsest alone at 0, all at 1."""
        if self.gates is None:
            raise ValueError("this grid was built without a coarse-to-fine schedule")
        self.gates.copy_(level_weights(self.layout.levels, progress))

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        features = hash_grid(coords, self.table, self.layout, self.interpolation, backend=self.requested_backend)
        features = weigh_levels(features, self.gates)
        if footprint is None:
            return features
        scales = [[level.scale] * self.layout.dimensions for level in self.layout.per_level]
        cells = torch.tensor(scales, dtype=coords.dtype, device=coords.device)
        return weigh_levels(features, fading_weights(cells_across(footprint, cells)))

    def total_variation(self, seed: int) -> Tensor:
        """Mean squared difference of neighbouring points, estimated at about 4,096 random points of each level.

        It is summed over the axes and averaged over the levels. Points that share an entry through a hash collision are
        compared with the neighbours of each other, so that collisions are smoothed too.
        """
        random, layout = torch.Generator().manual_seed(seed), self.layout
        total = self.table.new_zeros(())
        for level in layout.per_level:
            points = torch.randint(
                0, max(1, level.resolution - 1), (VARIATION_SAMPLES, layout.dimensions), generator=random
            ).to(self.table.device)
            rows = self.table[level.offset : level.offset + level.size]
            values = rows[point_entries(points, layout, level)]
            for axis in range(layout.dimensions):
                neighbours = points.clone()
                neighbours[:, axis] += 1
                total = total + (rows[point_entries(neighbours, layout, level)] - values).square().mean()
        return total / layout.levels
