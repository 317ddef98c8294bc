"""Fixed plain-torch ray marching and compositing that we measure against.

Every step of every ray is looked up in a bool grid, vectorised. Occupied steps are packed with a mask. Weights come
from one cumulative sum over all samples, and sums along rays from `index_add`. This is how it is written where there is
no kernel for it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def traverse(
    origins: Tensor, directions: Tensor, cells: Tensor, step: float, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`(t_starts, t_ends, ray_indices)` of rays through the unit cube with cells `[R, R, R]` bool."""
    inverse = 1.0 / directions
    one, other = -origins * inverse, (1.0 - origins) * inverse
    near = torch.minimum(one, other).amax(-1).clamp(min=0.0)
    far = torch.maximum(one, other).amin(-1)
    starts = near[:, None] + torch.arange(steps, dtype=origins.dtype, device=origins.device) * step
    midpoints = starts + 0.5 * step
    points = origins[:, None] + midpoints[..., None] * directions[:, None]
    resolution = cells.shape[0]
    cell = (points * resolution).long().clamp(0, resolution - 1)
    occupied = cells.reshape(-1)[(cell[..., 0] * resolution + cell[..., 1]) * resolution + cell[..., 2]]
    taken = occupied & (midpoints < far[:, None])
    ray_indices = taken.nonzero()[:, 0]
    t_starts = starts[taken]
    return t_starts, t_starts + step, ray_indices


def composite(
    density: Tensor, colors: Tensor, t_starts: Tensor, t_ends: Tensor, ray_indices: Tensor, rays: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Color `[N, 3]`, opacity `[N]` and depth `[N]`."""
    absorbed = density * (t_ends - t_starts)
    before = absorbed.cumsum(0) - absorbed
    counts = torch.bincount(ray_indices, minlength=rays)
    first = counts.cumsum(0) - counts
    padded = torch.cat([before, before.new_zeros(1)])
    weights = torch.exp(padded[first][ray_indices] - before) * (1.0 - torch.exp(-absorbed))
    color = density.new_zeros(rays, 3).index_add(0, ray_indices, weights[:, None] * colors)
    opacity = density.new_zeros(rays).index_add(0, ray_indices, weights)
    depth = density.new_zeros(rays).index_add(0, ray_indices, weights * (t_starts + t_ends) * 0.5)
    return color, opacity, depth
