"""Clusters of weighted points, for the centres and widths of kernels (Chen et al. 2023, "NeuRBF", equations 8 to 11).

scipy's k-means takes no weights. This is Lloyd's algorithm, with the k-d tree of `fields.ops.neighbours` for the
assignment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fields.ops.neighbours import nearest

ITERATIONS = 10


def weighted_draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of `count` different rows, drawn one after another with probabilities in proportion to `weights` `[P]`.

    They are int64 and ascending. Drawn by the exponential races of Efraimidis and Spirakis 2006, which work for any
    number of rows. ValueError where fewer than `count` rows have a weight.
    """
    if int((weights > 0).sum()) < count:
        raise ValueError(f"{count:,} rows cannot be drawn: {int((weights > 0).sum()):,} have a weight")
    races = torch.empty(len(weights), dtype=torch.float64).exponential_(generator=generator) / weights.double()
    return races.topk(count, largest=False).indices.sort().values


def weighted_kmeans(
    points: Tensor, weights: Tensor, count: int, generator: torch.Generator, *, iterations: int = ITERATIONS
) -> Tensor:
    """Centres `[count, D]` of `points` `[P, D]` (float32, D from 1 to 3) with `weights` `[P]`.

    Centres start at points drawn by weight. In each iteration they move to the weighted mean of the points that are
    nearest to them; a centre without points stays. The weighted sum of squared distances never rises. ValueError
    where a weight is negative or not finite, or where fewer points than centres have a weight.
    """
    points, weights = _with_weight(points, weights)
    centres = points[weighted_draw(weights, count, generator)]
    for _ in range(iterations):
        _, total, first = _sums(points, weights, centres)
        filled = total > 0
        centres = torch.where(filled[:, None], first / total.clamp_min(1e-300)[:, None], centres.double()).float()
    return centres


def cluster_covariances(points: Tensor, weights: Tensor, centres: Tensor) -> Tensor:
    """Weighted second moments of the points nearest to each centre, about it (equation 9): `[N, D, D]` float64.

    They are 0 for a centre without points.
    """
    points, weights = _with_weight(points, weights)
    labels, total, _ = _sums(points, weights, centres)
    dimensions = points.shape[1]
    offsets = (points - centres[labels]).double()
    moments = torch.zeros(len(centres), dimensions, dimensions, dtype=torch.float64)
    for row in range(dimensions):
        for column in range(row, dimensions):
            product = weights.double() * offsets[:, row] * offsets[:, column]
            moments[:, row, column] = moments[:, column, row] = torch.bincount(labels, product, len(centres))
    return moments / total.clamp_min(1e-300)[:, None, None]


def _with_weight(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The points that have a weight, and their weights. ValueError where a weight is negative or not finite."""
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise ValueError("weights must be finite and not negative")
    used = weights > 0
    return points[used], weights[used]


def _sums(points: Tensor, weights: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest centre of each point `[P]`; weight `[N]` and sum `[N, D]` of each centre's points, in float64."""
    labels = nearest(points, centres, 1)[:, 0].long()
    total = torch.bincount(labels, weights.double(), len(centres))
    sums = [torch.bincount(labels, weights.double() * points[:, axis], len(centres)) for axis in range(points.shape[1])]
    return labels, total, torch.stack(sums, dim=1)
