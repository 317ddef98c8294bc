"""Encoder of a tri-plane with the position beside its features (Cardace et al. 2024, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.encoders.factor_grid import FactorGrid
from fields.encoders.footprint import FootprintEncoder
from fields.encoders.frequency import Frequency


class TriPlane(FootprintEncoder):
    """Coords `[..., 3]` in [0, 1] → `[..., grid.outputs + 3 (2 octaves + 1)]`: features of planes, then of position.

    The position is encoded as `[p, sin 2^k p, cos 2^k p]` with p in [-1, 1] and without pi, as in the official code.
    """

    def __init__(self, grid: FactorGrid, octaves: int) -> None:
        super().__init__()
        self.grid = grid
        self.position = Frequency(3, octaves, base=1.0)
        self.outputs = grid.outputs + self.position.outputs

    @property
    def fades(self) -> bool:
        return self.grid.fades

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        return torch.cat([self.grid(coords, footprint), self.position(coords, footprint)], dim=-1)
