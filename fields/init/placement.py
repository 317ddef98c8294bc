"""Placement of kernels: weighted candidate points, and kernels from them (NeuRBF, Chen et al. 2023, section 3.3).

The weight of a candidate says how much the signal wants a kernel there:

* images, volumes and videos: magnitude of the gradient of the values;
* distances: 1 / (|distance| + 0.001), so that kernels gather at the surface;
* posed views: the border of the space that silhouettes leave; or, once a field was fitted for a while, what a point
  absorbs times the gradient of its features;
* scattered samples: how much values differ from those of the nearest samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from fields.init.kmeans import cluster_covariances, weighted_draw, weighted_kmeans
from fields.ops.neighbours import nearest

if TYPE_CHECKING:
    import numpy as np

    from scenes.signal import Signal

Placement = Literal["kmeans", "weighted", "random", "lattice"]
KernelShape = Literal["full", "diagonal", "isotropic"]

# Samples of the candidate grid along an axis at most, by the number of axes.
MAX_SIDE = {2: 1024, 3: 96}
# Candidates at most where samples are scattered.
MAX_SCATTERED = 1 << 18
# Added to distances, in unit cubes. The paper's samples lie on the surface and have 1e-9 here. Ours lie near it, and
# a few would have all the weight without this.
DISTANCE_EPSILON = 1e-3
# Second moments of clusters are divided by this: kernels are wider than their clusters, as in the authors' code.
COVARIANCE_DIVISOR = 0.5
# A kernel has the value 0.5 at one standard deviation where its shape is the inverse covariance times this. A hat's
# shape is half the inverse standard deviation instead.
HALF_WIDTH = {"inverse_quadratic": 1.0, "inverse_multiquadric": 3.0, "gaussian": 1.3863, "markov": 0.48045}
# Standard deviation of a kernel at most, in units of the longest axis.
MAX_DEVIATION = 0.1
# Cells along an axis of the grid on which posed views are looked at.
SCENE_CELLS = 64
# Samples along an axis that scattered samples count as.
SCATTERED_SIDE = 1024


@dataclass(frozen=True)
class Candidates:
    """Points `[P, D]` float32 in [0, 1]^D and their weights `[P]`, which are not negative and not all zero."""

    points: Tensor
    weights: Tensor


def kernel_candidates(signal: Signal, seed: int = 0) -> Candidates:
    """Candidates for the kernels of a signal; all weights are equal where the signal is constant.

    For posed views they are those of the silhouettes. The authors' need a fitted field: see `fitted_candidates`.
    """
    from scenes.errors import BadInput
    from scenes.posed.signal import RadianceScene

    if isinstance(signal, RadianceScene):
        return silhouette_candidates(signal.empty_cells(SCENE_CELLS) if signal.cascades == 1 else None)
    longest = max((n or 0 for n in signal.domain.shape), default=0)
    try:
        values = signal.on_grid(max(2, min(MAX_SIDE[signal.domain.dimensions], longest)))
    except BadInput:
        # Scattered samples, which have no grid.
        coords, values = (torch.from_numpy(array) for array in signal.batch(0, MAX_SCATTERED, seed)[:2])
        weights = distance_weights(values[:, 0]) if signal.channels.is_distance else scattered_weights(coords, values)
        return _normalized(coords, weights)
    return grid_candidates(gradient_weights(torch.from_numpy(values)))


def silhouette_candidates(empty: np.ndarray | None) -> Candidates:
    """Candidates of posed views before a fit, when nothing but their silhouettes tells where the scene is.

    `empty` `[n, n, n]` bool, x first, are the cells that silhouettes exclude. The other cells are candidates, above
    all those at the border. The whole cube is where views have no silhouettes: `empty` is None.
    """
    if empty is None or empty.all():
        return grid_candidates(torch.ones(*[SCENE_CELLS] * 3))
    solid = torch.from_numpy(~empty).float().permute(2, 1, 0).contiguous()
    return grid_candidates(gradient_weights(solid[None]) + 0.1 * solid)


@torch.no_grad()
def fitted_candidates(
    trunk: Callable[[Tensor], Tensor], initial_density: float, empty: np.ndarray | None, device: torch.device
) -> Candidates:
    """Candidates of posed views to which a field was fitted for a while.

    `trunk` maps coords `[..., 3]` to `[..., F]`: the logarithm of density in units of `initial_density` (per side of
    the cube), then features. Cells `[64, 64, 64]`, x first, that are known to be `empty` are no candidates: nothing
    was learned there.
    """
    side = SCENE_CELLS
    values = torch.cat([trunk(part.to(device)).cpu() for part in _cell_centres((side,) * 3).split(1 << 14)])
    values = values.T.reshape(-1, side, side, side)
    weights = radiance_weights(initial_density * values[0].exp(), values[1:], 1 / side)
    if empty is not None:
        weights = weights * torch.from_numpy(~empty).permute(2, 1, 0)
    return grid_candidates(weights)


def grid_candidates(weights: Tensor) -> Candidates:
    """Candidates at the centres of the cells of a grid with `weights` `[n_D, ..., n_1]`, x last."""
    return _normalized(_cell_centres(weights.shape), weights.reshape(-1))


def _cell_centres(shape: Sequence[int]) -> Tensor:
    """Centres of the cells of a grid of that shape, x last: `[cells, D]` in [0, 1], x first."""
    axes = [(torch.arange(n) + 0.5) / n for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1).reshape(-1, len(shape))


def gradient_weights(values: Tensor) -> Tensor:
    """Magnitude of the gradient per cell, by Sobel's filter: `[C, n_D, ..., n_1]` → `[n_D, ..., n_1]`.

    It is summed over all channels and axes.
    """
    axes = range(1, values.ndim)
    total = torch.zeros(values.shape[1:])
    for along in axes:
        part = _filtered(values, along, (-0.5, 0.0, 0.5))
        for across in axes:
            if across != along:
                part = _filtered(part, across, (0.25, 0.5, 0.25))
        total += part.square().sum(0)
    return total.sqrt()


def _filtered(values: Tensor, axis: int, taps: tuple[float, float, float]) -> Tensor:
    """Convolve with three taps along an axis; the border is repeated."""
    n = values.shape[axis]
    before, after = values.narrow(axis, 0, n - 1), values.narrow(axis, 1, n - 1)
    before = torch.cat([values.narrow(axis, 0, 1), before], dim=axis)
    after = torch.cat([after, values.narrow(axis, n - 1, 1)], dim=axis)
    return taps[0] * before + taps[1] * values + taps[2] * after


def distance_weights(distances: Tensor) -> Tensor:
    """1 / (|d| + 0.001) of distances `[...]` in unit cubes."""
    return 1.0 / (distances.abs() + DISTANCE_EPSILON)


def radiance_weights(density: Tensor, features: Tensor, step: float = 1.0) -> Tensor:
    """`(1 - exp(-density * step)) * |gradient of the features|` on a grid.

    Density `[n, n, n]` and features `[F, n, n, n]` → `[n, n, n]`. `step` is the length of a ray's step in the
    density's unit: 1 in the authors' code, here a cell's side. Features are scaled to [0, 1] over the volume.
    """
    least, most = features.amin(), features.amax()
    scaled = (features - least) / (most - least).clamp_min(1e-12)
    return (1.0 - torch.exp(-density * step)) * gradient_weights(scaled)


def scattered_weights(coords: Tensor, values: Tensor) -> Tensor:
    """Mean slope of values `[P, C]` between each point of coords `[P, D]` and the four points nearest to it: `[P]`."""
    count = min(5, len(coords))
    indices = nearest(coords, coords, count).long()
    steps = (coords[:, None] - coords[indices]).norm(dim=-1).clamp_min(1e-6)
    return ((values[:, None] - values[indices]).norm(dim=-1) / steps).mean(dim=1)


def _normalized(points: Tensor, weights: Tensor) -> Candidates:
    """Candidates whose weights have a mean of 1; all are 1 where no weight is positive."""
    # Rounding leaves small gradients in flat regions; they are no weight.
    weights = torch.where(weights > 1e-6 * weights.amax(), weights, torch.zeros_like(weights))
    return Candidates(points, weights / weights.mean() if bool((weights > 0).any()) else torch.ones_like(weights))


def place_kernels(
    candidates: Candidates | None,
    count: int,
    *,
    extents: Tensor,
    spacing: Tensor,
    kernel: str,
    shape: KernelShape,
    placement: Placement,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Centres `[count, D]` and shapes of kernels, in units of coords * `extents` `[D]`.

    Args:
        candidates: points that want kernels. Without candidates the kernels lie on a lattice: a field that is loaded
            gets its stored kernels afterwards.
        count: number of kernels.
        extents: size of the domain along each axis, `[D]`.
        spacing: distance of neighbouring samples along each axis, `[D]`. Half of it is the least width of a kernel.
        kernel: radial function, as in `fields.ops.rbf_gather`.
        shape: full covariances, one width for each axis, or one width. Shapes are packed as in `fields.ops.rbf_gather`.
        placement: clusters of weighted k-means, candidates drawn by weight, candidates drawn evenly, or a lattice.
    """
    dimensions = len(extents)
    if candidates is None or placement == "lattice":
        centres = _lattice(count, dimensions) * extents
        even = (extents.prod() / count) ** (1 / dimensions)
        identity = torch.eye(dimensions, dtype=torch.float64).expand(count, -1, -1)
        covariances = (even / 2).double() ** 2 * identity * COVARIANCE_DIVISOR
    else:
        points, weights = candidates.points * extents, candidates.weights
        if int((weights > 0).sum()) < 2 * count:
            # More kernels than points that want one: the other points get a small weight.
            weights = weights + 1e-3 * weights.mean()
        if int((weights > 0).sum()) < count:
            points, weights = _repeated(points, weights, count, spacing, generator)
        if placement == "kmeans":
            centres = weighted_kmeans(points, weights, count, generator)
        else:
            uniform = torch.ones_like(weights)
            centres = points[weighted_draw(weights if placement == "weighted" else uniform, count, generator)]
        covariances = cluster_covariances(points, weights, centres)
    return centres.float(), _shapes(covariances / COVARIANCE_DIVISOR, spacing, kernel, shape)


def _shapes(covariances: Tensor, spacing: Tensor, kernel: str, shape: KernelShape) -> Tensor:
    """Packed shapes of kernels with `covariances` `[N, D, D]`, bounded by half a sample and by `MAX_DEVIATION`."""
    least, most = (spacing.double() / 2).square(), MAX_DEVIATION**2
    if shape == "full":
        # In units of the least width no kernel is narrower than 1 along any direction.
        scale = least.sqrt()
        values, vectors = torch.linalg.eigh(covariances / scale[:, None] / scale)
        values = values.clamp(min=1.0)
        whole = (vectors * values[:, None]) @ vectors.mT * scale[:, None] * scale
        values, vectors = torch.linalg.eigh(whole)
        matrices = (vectors * _inverse(values.clamp(max=most), kernel)[:, None]) @ vectors.mT
        rows, columns = torch.triu_indices(len(spacing), len(spacing))
        return matrices[:, rows, columns].float()
    variances = torch.diagonal(covariances, dim1=1, dim2=2)
    if shape == "isotropic":
        # The trace, as in the authors' code: the one width holds the cluster along all axes together.
        variances = variances.sum(dim=1, keepdim=True).clamp(float(least.amin()), most)
    else:
        variances = variances.clamp(min=least).clamp(max=most)
    return _inverse(variances, kernel).float()


def _inverse(variances: Tensor, kernel: str) -> Tensor:
    """Shape parameters of a kernel that is 0.5 at one standard deviation."""
    return variances.rsqrt() / 2 if kernel == "hat" else HALF_WIDTH[kernel] / variances


def _lattice(count: int, dimensions: int) -> Tensor:
    """`count` points of the smallest lattice that has as many, evenly thinned: `[count, dimensions]` in [0, 1]."""
    side = max(1, round(count ** (1 / dimensions)))
    side += side**dimensions < count
    axis = (torch.arange(side) + 0.5) / side
    points = torch.stack(torch.meshgrid(*[axis] * dimensions, indexing="ij"), dim=-1).reshape(-1, dimensions)
    return points[torch.linspace(0, len(points) - 1, count).round().long()]


def _repeated(
    points: Tensor, weights: Tensor, count: int, spacing: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Repeat points until there are more than `count`, each copy moved by less than half a sample."""
    times = -(-count // len(points)) + 1
    moves = (torch.rand(times * len(points), points.shape[1], generator=generator) - 0.5) * spacing
    return points.repeat(times, 1) + moves, weights.repeat(times)
