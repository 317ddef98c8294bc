"""Means of a field over regions, from its values at points: which points of a region are asked, and their weights.

Along an axis with regular samples a field is known best at these: what lies between them is whatever it has become. The
mean over a region is therefore that of the samples in it, each counted by how much of its cell lies in the region. That
is what a box filter makes of the signal. A region that is no larger than a sample is a point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Points along each side of a region at most. A region of more samples is known by so many of them, evenly spread, which
# for photographs is as exact as a good fit (over 40 dB).
MAX_POINTS = 16
# Points along each side of a region where no samples say what is fine enough.
SCATTERED_POINTS = 4
# Fraction of a sample by which regions may be larger, or overlap it, and count as if they did not: float32 rounds them.
TOLERANCE = 1e-3
# Points evaluated at once.
CHUNK = 1 << 18


def region_points(
    centers: Tensor, size: Tensor, samples: int | None, most: int = MAX_POINTS
) -> tuple[Tensor, Tensor, Tensor]:
    """Points along one axis whose weighted values are the means over regions.

    centers, size: middles `[N]` of the regions in [0, 1], and their sizes `[N]`.
    samples: regular samples along the axis, with sample `i` at `(i + 0.5) / samples`; None: there are none.
    most: points of a region at most.

    Returns:
        Positions `[N, K]`, weights `[N, K]` and numbers of points `[N]` int64: a row's first are its points.
    """
    # Positions of samples have to be the very numbers that a field was fitted at.
    middle, width = centers.double(), size.double()
    if samples is None:
        number = torch.where(width > 0, min(SCATTERED_POINTS, most), 1)
        index = torch.arange(int(number.max()), device=centers.device)
        positions = middle[:, None] + width[:, None] * ((index + 0.5) / number[:, None] - 0.5)
        weights = (index < number[:, None]) / number[:, None].double()
        return positions.to(centers.dtype), weights.to(centers.dtype), number
    low, high = (middle - width / 2) * samples, (middle + width / 2) * samples
    first = (low + TOLERANCE).floor()
    number = ((high - TOLERANCE).ceil() - first).detach().long()
    point = width * samples <= 1 + TOLERANCE
    # Of more samples, those in the middle of so many equal parts.
    many = (width * samples > most * (1 + TOLERANCE)) & ~point
    number = torch.where(point, 1, torch.where(many, most, number))
    index = torch.arange(int(number.max()), device=centers.device)
    whole = first[:, None] + index
    # One between two samples has the outer of them: all together are as far to the left as to the right.
    outwards = torch.where(index < most // 2, -TOLERANCE, TOLERANCE)
    parts = (low[:, None] + (index + 0.5) / most * (high - low)[:, None] + outwards).floor()
    positions = (torch.where(many[:, None], parts, whole) + 0.5) / samples
    positions = torch.where(point[:, None], middle[:, None], positions)
    overlap = (torch.minimum(high[:, None], whole + 1) - torch.maximum(low[:, None], whole)).clamp(min=0)
    weights = torch.where((point | many)[:, None], 1.0, overlap) * (index < number[:, None])
    weights = weights / weights.sum(dim=1, keepdim=True)
    return positions.to(centers.dtype), weights.to(centers.dtype), number


def region_means(
    evaluate: Callable[[Tensor], Tensor], coords: Tensor, footprint: Tensor, samples: Sequence[int | None]
) -> Tensor:
    """Means `[..., C]` of a field over boxes.

    evaluate: values `[M, C]` at points `[M, D]`.
    coords, footprint: middles `[..., D]` and sides `[..., D]` of the boxes.
    samples: regular samples along each axis, or None; see `region_points`.
    """
    if not coords.numel():
        return evaluate(coords)
    flat, sizes = coords.reshape(-1, coords.shape[-1]), footprint.reshape(-1, coords.shape[-1])
    axes = [region_points(flat[:, d], sizes[:, d], count) for d, count in enumerate(samples)]
    numbers = torch.stack([number for _, _, number in axes], dim=-1)
    groups, group = numbers.unique(dim=0, return_inverse=True)
    rows, means = [], []
    for index, counts in enumerate(groups.tolist()):
        members = (group == index).nonzero().flatten()
        # Number of points of one box, and of the boxes that are evaluated at once.
        lattice = torch.cartesian_prod(*(torch.arange(count, device=coords.device) for count in counts))
        lattice = lattice.reshape(-1, len(counts))
        for part in members.split(max(1, CHUNK // len(lattice))):
            points = torch.stack([axes[d][0][part][:, lattice[:, d]] for d in range(len(counts))], dim=-1)
            weights = torch.stack([axes[d][1][part][:, lattice[:, d]] for d in range(len(counts))], dim=-1).prod(dim=-1)
            values = evaluate(points.reshape(-1, len(counts)))
            values = values.reshape(*weights.shape, -1)
            rows.append(part)
            means.append((values * weights[..., None]).sum(dim=1) if len(lattice) > 1 else values[:, 0])
    return torch.cat(means)[torch.argsort(torch.cat(rows))].reshape(*coords.shape[:-1], -1)
