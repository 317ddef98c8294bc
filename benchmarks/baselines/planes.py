"""Fixed plain-torch tri-plane, VM and dense grid that we measure against, by `torch.nn.functional.grid_sample`.

This is how the papers' code and its followers write them: planes `[3, C, H, W]`, with one batched call for the planes
and one for the lines. The nodes are those of our grids, so both compute the same. It does not change when our own
reference does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Axes of each plane, and the axis of the line that multiplies it.
PAIRS = ((0, 1), (0, 2), (1, 2))
LINES = (2, 1, 0)


def _sample(grids: Tensor, points: Tensor) -> Tensor:
    """Values `[B, C, N]` of grids `[B, C, ...]` at points `[B, N, d]` in [0, 1]."""
    batch, count, axes = points.shape
    points = (points * 2 - 1).view(batch, *[1] * (axes - 1), count, axes)
    return F.grid_sample(grids, points, mode="bilinear", padding_mode="border", align_corners=True).view(
        batch, -1, count
    )


class TorchTriPlane(nn.Module):
    """Sum over three planes, `[N, C]`, at coords `[N, 3]`."""

    def __init__(self, planes: Tensor) -> None:
        super().__init__()
        self.planes = nn.Parameter(planes)

    def forward(self, coords: Tensor) -> Tensor:
        return _sample(self.planes, torch.stack([coords[:, pair] for pair in PAIRS])).sum(0).T


class TorchVectorMatrix(nn.Module):
    """Planes times lines, the three pairs concatenated, `[N, 3 C]`, at coords `[N, 3]`; lines are `[3, C, n, 1]`."""

    def __init__(self, planes: Tensor, lines: Tensor) -> None:
        super().__init__()
        self.planes, self.lines = nn.Parameter(planes), nn.Parameter(lines)

    def forward(self, coords: Tensor) -> Tensor:
        planes = _sample(self.planes, torch.stack([coords[:, pair] for pair in PAIRS]))
        along = torch.stack([coords[:, axis] for axis in LINES])
        lines = _sample(self.lines, torch.stack([torch.full_like(along, 0.5), along], dim=-1))
        return (planes * lines).flatten(0, 1).T


class TorchDenseGrid(nn.Module):
    """Values `[N, C]` of a grid `[1, C, Z, Y, X]` at coords `[N, 3]`."""

    def __init__(self, grid: Tensor) -> None:
        super().__init__()
        self.grid = nn.Parameter(grid)

    def forward(self, coords: Tensor) -> Tensor:
        return _sample(self.grid, coords[None])[0].T
