"""Space that is empty because cameras see points on surfaces behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes.posed.camera import Camera
from scenes.posed.projection import in_image, project

# Longer side of the images in which the nearest points are looked up.
SIDE = 64
# A cell is empty where at least so many of the cameras that see a point on its ray, and this fraction of them, see the
# point behind it. Single points are wrong, and where they are sparse, those of the other side show through.
MIN_VOTES = 2
MIN_FRACTION = 0.25
# Distance of the nearest point behind a cell, in cells, from which on it counts.
BEHIND = 1.5


def in_front_of_points(
    cameras: Sequence[Camera], points: np.ndarray, lower: np.ndarray, side: float, among: np.ndarray
) -> np.ndarray:
    """Cells of a grid over a cube that cameras look through to points behind them, `[n, n, n]` bool, x first.

    Args:
        points: `[N, 3]` on surfaces, in units of the scene.
        lower, side: lower corner `[3]` and side of the cube.
        among: `[n, n, n]` bool, the cells that are looked at; of the others none is found.
    """
    cell = side / len(among)
    cells = (np.stack(np.nonzero(among), axis=-1) + 0.5) * cell + lower
    seen, empty = np.zeros(len(cells), np.int32), np.zeros(len(cells), np.int32)
    for camera in cameras:
        scale = min(1.0, SIDE / max(camera.intrinsics.width, camera.intrinsics.height))
        small = camera.resized(*(max(1, round(scale * n)) for n in (camera.intrinsics.width, camera.intrinsics.height)))
        nearest = _nearest(small, points)
        x, y, depth = project(small, cells)
        inside = np.flatnonzero((depth > 0) & in_image(small.intrinsics, x, y))
        met = nearest[y[inside].astype(np.int64), x[inside].astype(np.int64)]
        seen[inside] += np.isfinite(met)
        empty[inside] += np.isfinite(met) & (depth[inside] < met - BEHIND * cell)
    found = among.copy()
    found[among] = (empty >= MIN_VOTES) & (empty >= MIN_FRACTION * seen)
    return found


def _nearest(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Depth of the nearest point in each pixel, `[H, W]`; infinite where there is none."""
    x, y, depth = project(camera, points)
    inside = (depth > 0) & in_image(camera.intrinsics, x, y)
    nearest = np.full((camera.intrinsics.height, camera.intrinsics.width), np.inf)
    np.minimum.at(nearest, (y[inside].astype(np.int64), x[inside].astype(np.int64)), depth[inside])
    return nearest
