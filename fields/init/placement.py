"""Where a signal wants kernels: candidate points and their weights, by the kind of signal (NeuRBF, section 3.3), and kernels from them.

pictures, volumes, clips    the magnitude of the gradient of the values
distances                   1 / (|distance| + 0.001): the surface
posed views                 the border of what silhouettes leave of space; or, once a field was fitted a little, what a point
                            absorbs, times the gradient of its features
samples without an order    how much values differ from those of the nearest samples
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
# Candidates at most: along each axis of a grid, and in all of samples without an order.
SIDES = {2: 1024, 3: 96}
SAMPLES = 1 << 18
# In unit cubes. The paper's samples lie on the surface and have 1e-9 here; ours lie beside it, and without this a few would have all the weight.
NEAR = 1e-3
# A cluster's second moment is divided by this: kernels are wider than their clusters (the authors' code).
WIDENED = 0.5
# A kernel is 0.5 at one standard deviation where its shape is the inverse covariance times this; a hat's is half the inverse root.
HALF = {"inverse_quadratic": 1.0, "inverse_multiquadric": 3.0, "gaussian": 1.3863, "markov": 0.48045}
# No kernel is wider than this share of the longest axis.
WIDEST = 0.1
SCENE_CELLS = 64  # along an axis
UNORDERED_SAMPLES = 1024  # along an axis, as samples without an order count


@dataclass(frozen=True)
class Candidates:
    """Points `[P, D]` float32 in [0, 1]^D and weights `[P]`, not negative; some must be positive."""

    points: Tensor
    weights: Tensor


def candidates(signal: Signal, seed: int = 0) -> Candidates:
    """The candidates of a signal, by its kind; all weights are equal where it is constant. Of posed views they are the silhouettes': the authors' want a
    field that was fitted (`fitted_candidates`)."""
    from scenes.errors import BadInput

    if signal.kind == "radiance":
        return silhouette_candidates(signal.empty(SCENE_CELLS) if signal.levels == 1 else None)
    side = max((n or 0 for n in signal.domain.shape), default=0)
    try:
        values = signal.on_grid(max(2, min(SIDES[signal.domain.dimensions], side)))
    except BadInput:  # it has no grid
        coords, values = (torch.from_numpy(array) for array in signal.batch(0, SAMPLES, seed)[:2])
        distances = signal.channels.space.endswith("_distance")
        weights = distance_weights(values[:, 0]) if distances else scattered_weights(coords, values)
        return _usable(coords, weights)
    return of_grid(gradient_weights(torch.from_numpy(values)))


def silhouette_candidates(empty: np.ndarray | None) -> Candidates:
    """Of posed views, whose rays say nothing of places before a fit: cells `[n, n, n]` (x first) that silhouettes leave, above all those
    at the border; the whole cube where views show no silhouettes (`empty` is None)."""
    if empty is None or empty.all():
        return of_grid(torch.ones(*[SCENE_CELLS] * 3))
    solid = torch.from_numpy(~empty).float().permute(2, 1, 0).contiguous()
    return of_grid(gradient_weights(solid[None]) + 0.1 * solid)


@torch.no_grad()
def fitted_candidates(
    trunk: Callable[[Tensor], Tensor], initial_density: float, empty: np.ndarray | None, device: torch.device
) -> Candidates:
    """Of posed views that a field was fitted to a little: `trunk` gives the logarithm of density in parts of `initial_density` (a side of the cube), then
    features, `[..., F]` at `[..., 3]`. Where cells `[64, 64, 64]` (x first) are known to be `empty` nothing was learned, and nothing is wanted."""
    side = SCENE_CELLS
    values = torch.cat([trunk(part.to(device)).cpu() for part in _middles((side,) * 3).split(1 << 14)]).T.reshape(
        -1, side, side, side
    )
    weights = radiance_weights(initial_density * values[0].exp(), values[1:], 1 / side)
    if empty is not None:
        weights = weights * torch.from_numpy(~empty).permute(2, 1, 0)
    return of_grid(weights)


def of_grid(weights: Tensor) -> Candidates:
    """Candidates at the middles of the cells of a grid: weights `[n_D, ..., n_1]`, the axis x last."""
    return _usable(_middles(weights.shape), weights.reshape(-1))


def _middles(shape: Sequence[int]) -> Tensor:
    axes = [(torch.arange(n) + 0.5) / n for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1).reshape(-1, len(shape))


def gradient_weights(values: Tensor) -> Tensor:
    """Magnitude of the gradient by Sobel's filter, over all channels and axes, in values a cell: `[C, n_D, ..., n_1]` → `[n_D, ..., n_1]`."""
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
    """Three taps along an axis; the border is repeated."""
    n = values.shape[axis]
    before, after = values.narrow(axis, 0, n - 1), values.narrow(axis, 1, n - 1)
    before = torch.cat([values.narrow(axis, 0, 1), before], dim=axis)
    after = torch.cat([after, values.narrow(axis, n - 1, 1)], dim=axis)
    return taps[0] * before + taps[1] * values + taps[2] * after


def distance_weights(distances: Tensor) -> Tensor:
    """1 / (|d| + 0.001) of distances `[...]` in unit cubes."""
    return 1.0 / (distances.abs() + NEAR)


def radiance_weights(density: Tensor, features: Tensor, step: float = 1.0) -> Tensor:
    """`(1 - exp(-density * step)) * |gradient of the features|` on a grid: density `[n, n, n]`, features `[F, n, n, n]` → `[n, n, n]`.

    `step` is the length of a ray's step in the density's unit; the authors' code has 1, here it is a cell's. Features are scaled to [0, 1] over the volume.
    """
    least, most = features.amin(), features.amax()
    scaled = (features - least) / (most - least).clamp_min(1e-12)
    return (1.0 - torch.exp(-density * step)) * gradient_weights(scaled)


def scattered_weights(coords: Tensor, values: Tensor) -> Tensor:
    """How steeply values `[P, C]` change between each point of coords `[P, D]` and the four nearest to it: `[P]`."""
    count = min(5, len(coords))
    around = nearest(coords, coords, count).long()
    steps = (coords[:, None] - coords[around]).norm(dim=-1).clamp_min(1e-6)
    return ((values[:, None] - values[around]).norm(dim=-1) / steps).mean(dim=1)


def _usable(points: Tensor, weights: Tensor) -> Candidates:
    # What rounding leaves of a gradient in a flat region is no weight.
    weights = torch.where(weights > 1e-6 * weights.amax(), weights, torch.zeros_like(weights))
    return Candidates(points, weights / weights.mean() if bool((weights > 0).any()) else torch.ones_like(weights))


def place_kernels(
    found: Candidates | None,
    count: int,
    extents: Tensor,
    spacing: Tensor,
    kernel: str,
    shape: str,
    how: Placement,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Centres `[count, D]` and shapes, packed as `fields.ops.rbf_gather` has them, for coords * `extents` `[D]`.

    `spacing` `[D]` is the distance of neighbouring samples in the same unit, half of which is the least width. `shape` is "full", "diagonal" or
    "isotropic". Without candidates kernels lie on a lattice: a field that is loaded gets its own afterwards.
    """
    dimensions = len(extents)
    even = (extents.prod() / count) ** (1 / dimensions)
    if found is None or how == "lattice":
        centres = _lattice(count, dimensions) * extents
        covariances = (
            (even / 2).double() ** 2 * torch.eye(dimensions, dtype=torch.float64).expand(count, -1, -1) * WIDENED
        )
    else:
        points, weights = found.points * extents, found.weights
        if int((weights > 0).sum()) < 2 * count:
            # More kernels than places that want one: the others get the small rest.
            weights = weights + 1e-3 * weights.mean()
        if int((weights > 0).sum()) < count:
            points, weights = _more(points, weights, count, spacing, generator)
        if how == "kmeans":
            centres = weighted_kmeans(points, weights, count, generator)
        else:
            uniform = torch.ones_like(weights)
            centres = points[weighted_draw(weights if how == "weighted" else uniform, count, generator)]
        covariances = cluster_covariances(points, weights, centres)
    return centres.float(), _shapes(covariances / WIDENED, spacing, kernel, shape)


def _shapes(covariances: Tensor, spacing: Tensor, kernel: str, shape: str) -> Tensor:
    least, most = (spacing.double() / 2).square(), WIDEST**2
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
        # (the trace, as the authors have it: a width that holds the cluster along all axes together)
        variances = variances.sum(dim=1, keepdim=True).clamp(least.amin(), most)
    else:
        variances = variances.clamp(min=least).clamp(max=most)
    return _inverse(variances, kernel).float()


def _inverse(variances: Tensor, kernel: str) -> Tensor:
    return variances.rsqrt() / 2 if kernel == "hat" else HALF[kernel] / variances


def _lattice(count: int, dimensions: int) -> Tensor:
    """`count` places of the smallest lattice that has as many, evenly thinned."""
    side = max(1, round(count ** (1 / dimensions)))
    side += side**dimensions < count
    axis = (torch.arange(side) + 0.5) / side
    places = torch.stack(torch.meshgrid(*[axis] * dimensions, indexing="ij"), dim=-1).reshape(-1, dimensions)
    return places[torch.linspace(0, len(places) - 1, count).round().long()]


def _more(
    points: Tensor, weights: Tensor, count: int, spacing: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fewer points than kernels: each several times, moved by less than a sample."""
    times = -(-count // len(points)) + 1
    moves = (torch.rand(times * len(points), points.shape[1], generator=generator) - 0.5) * spacing
    return points.repeat(times, 1) + moves, weights.repeat(times)
