"""Evaluate a PointField on regular lattices: images, audio, slices, frames. Memory stays bounded, as tiles are used.

A pixel that is larger than the field's samples has the mean over its area, as a box filter gives it: a small image has
no grain and no moiré. `fields.models.regions` says how.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from fields.models.field import PointField
from fields.models.regions import MAX_POINTS, region_points

# A rectangle x0, y0, x1, y1 in the field's [0, 1] coordinates.
Window = tuple[float, float, float, float]
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
# Points evaluated at once: large enough for full speed, small enough that activations stay below about 100 MB.
TILE_POINTS = 1 << 16
# Points whose values are held at once where they are averaged.
LATTICE_POINTS = 1 << 20


def sample_centers(count: int, lower: float = 0.0, upper: float = 1.0) -> torch.Tensor:
    """Centers of `count` equal samples between `lower` and `upper`, float32 `[count]`.

    They are computed in double and rounded once, so that a pixel has the same coordinate in a crop and in the whole.
    """
    return (lower + (torch.arange(count, dtype=torch.float64) + 0.5) / count * (upper - lower)).float()


@torch.no_grad()
def evaluate_image(
    field: PointField,
    width: int,
    height: int,
    window: Window = WHOLE,
    out: np.ndarray | None = None,
    *,
    most: int = MAX_POINTS,
) -> np.ndarray:
    """Values of a field with two axes at the pixels of an image, `[height, width, C]` float32.

    window: the part of the domain that the image shows; pixel `i` of `n` lies at `(i + 0.5) / n` of its side.
    out: array to write into, which may be a mapped file; None: a new one.
    most: samples along each side of a pixel that are averaged, at most; 1: pixels are points.
    """
    if out is None:
        out = np.empty((height, width, len(field.channels)), np.float32)
    for top, strip in evaluate_strips(field, width, height, window, most=most):
        out[top : top + len(strip)] = strip
    return out


def evaluate_strips(
    field: PointField, width: int, height: int, window: Window = WHOLE, *, most: int = MAX_POINTS
) -> Iterator[tuple[int, np.ndarray]]:
    """Strips of the image of `evaluate_image` from top to bottom: first row, and values `[h, width, C]` float32.

    A strip has about `TILE_POINTS` pixels, so memory does not grow with the image.
    """
    for rows in image_strips(width, height):
        yield rows.start, evaluate_rows(field, width, height, rows, window, most=most)


def image_strips(width: int, height: int) -> list[slice]:
    """The rows of an image in strips of about `TILE_POINTS` pixels, from top to bottom."""
    strip = max(1, TILE_POINTS // width)
    return [slice(top, min(top + strip, height)) for top in range(0, height, strip)]


@torch.no_grad()
def evaluate_rows(
    field: PointField, width: int, height: int, rows: slice, window: Window = WHOLE, *, most: int = MAX_POINTS
) -> np.ndarray:
    """The rows `[h, width, C]` float32 of the image of `evaluate_image`."""
    x0, y0, x1, y1 = window
    x, y = sample_centers(width, x0, x1), sample_centers(height, y0, y1)[rows]
    return evaluate_lattice(field, x, y, footprint=((x1 - x0) / width, (y1 - y0) / height), most=most)


@torch.no_grad()
def evaluate_lattice(
    field: PointField,
    *positions: torch.Tensor,
    footprint: Sequence[float] | None = None,
    most: int = MAX_POINTS,
) -> np.ndarray:
    """Values at every combination of coordinates, `[n_D, ..., n_1, C]` float32.

    positions: coordinates in [0, 1] along each axis of the field, `[n_1]` to `[n_D]`. The first axis of the field is
        the last but one of the result, as in images.
    footprint: size along each axis of the region that a value stands for, in the same units; None or 0: a point.
    most: as in `evaluate_image`.

    The values are those of `field(coords, footprint)`, but points that regions share are evaluated once.
    """
    axes = field.domain.axes
    if footprint is None or most == 1:
        return _values(field, positions)
    if all(axis.samples is None for axis in axes):
        return _values(field, positions, torch.tensor(footprint))
    shares = [
        region_points(points, torch.full_like(points, size), axis.samples, most)
        for points, size, axis in zip(positions, footprint, axes)
    ]
    # The slowest axis is cut, so that memory does not grow with the size of the regions.
    inner = math.prod(points.numel() for points, _, _ in shares[:-1])
    rows = max(1, LATTICE_POINTS // (inner * shares[-1][0].shape[1]))
    parts = []
    for first in range(0, len(positions[-1]), rows):
        last = tuple(part[first : first + rows] for part in shares[-1])
        parts.append(_lattice_means(field, [*shares[:-1], last]))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _lattice_means(field: PointField, regions: Sequence[tuple[torch.Tensor, ...]]) -> np.ndarray:
    """Means over all combinations of regions along each axis, which are as `region_points` gives them."""
    asked, shares = [], []
    for points, weights, number in regions:
        if points.shape[1] == 1:
            asked.append(points[:, 0])
            shares.append(None)
            continue
        # Rows are as long as their largest region; what is beyond a smaller one has no weight.
        points = torch.where(torch.arange(points.shape[1]) < number[:, None], points, points[:, :1])
        unique, index = points.unique(return_inverse=True)
        asked.append(unique)
        shares.append((index, weights))
    values = torch.from_numpy(_values(field, asked))
    for axis, share in enumerate(shares):
        if share is not None:
            values = _averaged(values, values.ndim - 2 - axis, *share)
    return values.numpy()


def _values(field: PointField, positions: Sequence[torch.Tensor], footprint: torch.Tensor | None = None) -> np.ndarray:
    """Values at every combination of coordinates, as `evaluate_lattice` gives them; `footprint`: `[D]`."""
    shape = tuple(len(axis) for axis in positions[::-1])
    values = np.empty((math.prod(shape), len(field.channels)), np.float32)
    for start in range(0, len(values), TILE_POINTS):
        rest = torch.arange(start, min(start + TILE_POINTS, len(values)))
        columns = []
        for axis in positions:
            columns.append(axis[rest % len(axis)])
            rest = rest.div(len(axis), rounding_mode="floor")
        coords = torch.stack(columns, dim=-1).to(field.device)
        sizes = None if footprint is None else footprint.to(coords).expand(coords.shape)
        values[start : start + TILE_POINTS] = field(coords, sizes).cpu().numpy()
    return values.reshape(*shape, -1)


def _averaged(values: torch.Tensor, axis: int, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Means along one axis: `values[index]` times `weights`, both `[n, K]`, summed over K."""
    shape = [1] * values.ndim
    shape[axis] = len(index)
    total = values.index_select(axis, index[:, 0]) * weights[:, 0].reshape(shape)
    for k in range(1, index.shape[1]):
        total += values.index_select(axis, index[:, k]) * weights[:, k].reshape(shape)
    return total
