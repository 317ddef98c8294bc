"""Terms of the loss that make a density field opaque or empty. Each is an option of methods that fit scenes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fields.ops.packed import Samples

# Weights are taken to be so far from 0 and 1 at least in their entropy.
MIN_WEIGHT = 1e-5
# Points of a step at which sparsity is measured, and samples at which the orientation is.
SPARSITY_POINTS, ORIENTED_SAMPLES = 4096, 2048

# From points `[M, 3]` in units of the cube to densities `[M]`.
DensityOf = Callable[[Tensor], Tensor]


def entropy(weights: Tensor) -> Tensor:
    """Sum of the binary entropies of weights, in bits: none where each sample shows all or nothing."""
    weights = weights.clamp(MIN_WEIGHT, 1.0 - MIN_WEIGHT)
    return -(weights * weights.log2() + (1.0 - weights) * (1.0 - weights).log2()).sum()


def sparsity(density: DensityOf, length: float, *, cascades: int, seed: int, device: torch.device) -> Tensor:
    """Mean opacity over a length of random points, which space that no ray needs should not have."""
    random = torch.Generator().manual_seed(seed)
    points = (torch.rand(SPARSITY_POINTS, 3, generator=random) - 0.5) * 2 ** (cascades - 1) + 0.5
    return -torch.expm1(-density(points.to(device)) * length).mean()


def orientation(
    density: DensityOf, points: Tensor, directions: Tensor, weights: Tensor, *, length: float, seed: int
) -> Tensor:
    """Mean of weight times max(0, normal . direction)^2: what is seen faces the camera (Ref-NeRF, equation 11).

    points, directions: of samples `[S, 3]`; weights: `[S]`. Normals are against the density's numerical gradient over
    `length`, at some of the samples.
    """
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(points), generator=random)[:ORIENTED_SAMPLES].to(points.device)
    if not len(chosen):
        return weights.sum() * 0.0
    at, along = points.index_select(0, chosen), directions.index_select(0, chosen)
    shift = torch.eye(3, device=points.device) * length
    taps = torch.stack([at[:, None] + shift, at[:, None] - shift])
    above, below = density(taps.reshape(-1, 3)).reshape(2, len(at), 3)
    normals = torch.nn.functional.normalize(below - above, dim=-1)
    away = (normals * along).sum(dim=-1).clamp(min=0.0)
    return (weights.index_select(0, chosen) * away.square()).mean()


def sample_points(samples: Samples, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Positions `[S, 3]` of samples, and the directions `[S, 3]` of their rays."""
    return samples.positions(origins, directions), directions.index_select(0, samples.ray_indices)
