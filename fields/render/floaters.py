"""What a fitted scene has too much: density that no camera had in its picture, small pieces in mid-air, and what lies outside of a box.

All of it works on the cells of an occupancy grid, `[levels, n, n, n]` bool, x first; level 0 spans `lower` .. `upper` and each further
one twice as much around the same centre. What is cleared there is neither rendered nor meshed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scenes.posed.rays import pixels_of
from scenes.posed.view import Intrinsics

MAX_VIEWS = 120


class Seer(Protocol):
    """Whatever has a camera: a `View`, a `PathCamera`."""

    pose: np.ndarray
    intrinsics: Intrinsics


def cleaned(cells: np.ndarray, lower: Sequence[float], upper: Sequence[float], cameras: Sequence[Seer]) -> np.ndarray:
    """The cells without what fewer than two cameras had in their picture, and without specks."""
    return remove_small_components(seen(cells, lower, upper, cameras, least=min(2, len(cameras))))


def cell_centres(
    where: np.ndarray, resolution: int, lower: Sequence[float], upper: Sequence[float], level: int = 0
) -> np.ndarray:
    """The middles `[M, 3]` float64 of the cells with indices `where` `[M, 3]` of a level."""
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    return (lower + upper) / 2 + ((where + 0.5) / resolution - 0.5) * (upper - lower) * 2.0**level


def cropped(
    cells: np.ndarray,
    lower: Sequence[float],
    upper: Sequence[float],
    box_lower: Sequence[float],
    box_upper: Sequence[float],
) -> np.ndarray:
    """The cells that reach into the box `box_lower` .. `box_upper`; ValueError where it is empty."""
    resolution = _check(cells)
    if not (np.asarray(box_lower) < np.asarray(box_upper)).all():
        raise ValueError(
            f"a box to crop to goes from a lower to an upper corner, not from {list(box_lower)} to {list(box_upper)}"
        )
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    kept = cells.copy()
    for level in range(len(cells)):
        half = (upper - lower) * 2.0**level / resolution / 2
        for axis in range(3):
            along = np.zeros((resolution, 3))
            along[:, axis] = np.arange(resolution)
            middle = cell_centres(along, resolution, lower, upper, level)[:, axis]
            outside = (middle + half[axis] <= box_lower[axis]) | (middle - half[axis] >= box_upper[axis])
            np.moveaxis(kept[level], axis, 0)[outside] = False
    return kept


def seen(
    cells: np.ndarray, lower: Sequence[float], upper: Sequence[float], views: Sequence[Seer], least: int = 1
) -> np.ndarray:
    """The cells whose middle `least` views or more have in their picture. Whether something hides it there is not asked: the inside of
    what is solid stays, so that a mesh of it has one surface and not two."""
    resolution = _check(cells)
    views = [views[i] for i in np.unique(np.linspace(0, len(views) - 1, min(len(views), MAX_VIEWS)).astype(int))]
    kept = np.zeros_like(cells)
    for level in range(len(cells)):
        where = np.argwhere(cells[level])
        points, sightings = cell_centres(where, resolution, lower, upper, level), np.zeros(len(where), int)
        for view in views:
            wanting = (sightings < least).nonzero()[0]
            x, y, depth = pixels_of(view, points[wanting])
            sightings[wanting] += (
                (depth > 0) & (x >= 0) & (y >= 0) & (x < view.intrinsics.width) & (y < view.intrinsics.height)
            )
        kept[level][tuple(where[sightings >= least].T)] = True
    return kept


def remove_small_components(cells: np.ndarray, least: float = 0.01) -> np.ndarray:
    """The cells without pieces that have less than `least` of the largest piece's: cells that touch, at corners too, are one piece.

    In scenes of several levels a piece that reaches the level's rim goes on in the next one, and stays.
    """
    from scipy.ndimage import label

    _check(cells)
    if not 0.0 <= least <= 1.0:
        raise ValueError(f"least is a share between 0 and 1, not {least}")
    kept = np.zeros_like(cells)
    for level, filled in enumerate(cells):
        pieces, count = label(filled, structure=np.ones((3, 3, 3)))
        if not count:
            continue
        sizes = np.bincount(pieces.reshape(-1), minlength=count + 1)
        large = sizes >= least * sizes[1:].max()
        if len(cells) > 1:
            rims = [np.moveaxis(pieces, axis, 0)[end] for axis in range(3) for end in (0, -1)]
            large[np.unique(np.concatenate([rim.reshape(-1) for rim in rims]))] = True
        large[0] = False
        kept[level] = large[pieces]
    return kept


def blocked(cells: np.ndarray, lower: Sequence[float], upper: Sequence[float], views: Sequence[Seer]) -> list[Seer]:
    """The views whose camera stands in a cell that is filled, on the finest level that has it: they see matter from within, which is
    what a fit makes of cameras that are not where they are said to be, or of a box that they stand in the middle of."""
    resolution = _check(cells)
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    found = []
    for view in views:
        for level in range(len(cells)):
            place = ((view.pose[:, 3] - (lower + upper) / 2) / (upper - lower) / 2.0**level + 0.5) * resolution
            if (place >= 0).all() and (place < resolution).all():
                if cells[level][tuple(place.astype(int))]:
                    found.append(view)
                break
    return found


def _check(cells: np.ndarray) -> int:
    if cells.ndim != 4 or cells.dtype != bool or len(set(cells.shape[1:])) != 1:
        raise ValueError(f"cells are [levels, n, n, n] bool, not {list(cells.shape)} {cells.dtype}")
    return cells.shape[1]
