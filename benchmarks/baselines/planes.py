"""The fixed plain-torch tri-plane, VM and dense grid that we measure against: `torch.nn.functional.grid_sample`.

This is how the papers' code and its followers write them: planes `[3, C, H, W]`, one batched call for the planes, one for the lines.
Node for node our grids, so both compute the same. It does not change when our own reference does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAIRS = ((0, 1), (0, 2), (1, 2))
LINES = (2, 1, 0)


def _sample(grids: Tensor, places: Tensor) -> Tensor:
    """Grids `[B, C, ...]` at places `[B, N, d]` in [0, 1] → `[B, C, N]`."""
    batch, count, axes = places.shape
    places = (places * 2 - 1).view(batch, *[1] * (axes - 1), count, axes)
    return F.grid_sample(grids, places, mode="bilinear", padding_mode="border", align_corners=True).view(
        batch, -1, count
    )


class TorchTriPlane(nn.Module):
    """Coords `[N, 3]` → the sum over three planes `[N, C]`."""

    def __init__(self, planes: Tensor) -> None:
        super().__init__()
        self.planes = nn.Parameter(planes)

    def forward(self, coords: Tensor) -> Tensor:
        return _sample(self.planes, torch.stack([coords[:, pair] for pair in PAIRS])).sum(0).T


class TorchVectorMatrix(nn.Module):
    """Coords `[N, 3]` → planes times lines, the three pairs side by side `[N, 3 C]`; lines `[3, C, n, 1]`."""

    def __init__(self, planes: Tensor, lines: Tensor) -> None:
        super().__init__()
        self.planes, self.lines = nn.Parameter(planes), nn.Parameter(lines)

    def forward(self, coords: Tensor) -> Tensor:
        planes = _sample(self.planes, torch.stack([coords[:, pair] for pair in PAIRS]))
        along = torch.stack([coords[:, axis] for axis in LINES])
        lines = _sample(self.lines, torch.stack([torch.full_like(along, 0.5), along], dim=-1))
        return (planes * lines).flatten(0, 1).T


class TorchDenseGrid(nn.Module):
    """Coords `[N, 3]` → `[N, C]`; grid `[1, C, Z, Y, X]`."""

    def __init__(self, grid: Tensor) -> None:
        super().__init__()
        self.grid = nn.Parameter(grid)

    def forward(self, coords: Tensor) -> Tensor:
        return _sample(self.grid, coords[None])[0].T
