"""The multiresolution hash grid as a module (Müller et al. 2022, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid


class HashGrid(nn.Module):
    """Coords `[..., D]` in [0, 1] → features `[..., levels * features]`.

    The table starts at U(-1e-4, 1e-4) (section 4, "Initialization"): almost nothing, so that levels which hash
    collisions spoil stay quiet.
    """

    def __init__(self, layout: GridLayout, interpolation: str, backend: str, generator: torch.Generator) -> None:
        super().__init__()
        self.layout = layout
        self.interpolation = interpolation
        self.requested_backend = backend
        self.outputs = layout.outputs
        table = torch.empty(layout.entries, layout.features).uniform_(-1e-4, 1e-4, generator=generator)
        self.table = nn.Parameter(table)

    def forward(self, coords: Tensor) -> Tensor:
        return hash_grid(coords, self.table, self.layout, self.interpolation, self.requested_backend)
