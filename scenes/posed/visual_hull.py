"""Visual hulls (Laurentini 1994): the part of space that no silhouette rules out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from scenes.posed.camera import Camera
from scenes.posed.projection import in_image, project

# Cells along a side of the grid in which the bounds of a hull are looked for.
CELLS = 64
# Views whose silhouettes are used for the bounds of a hull; of more views, evenly spaced ones.
MAX_VIEWS = 40
# Fraction of the views that have a part of the object in their image. Cells that fewer views see, which are near a
# camera, are not ruled out by any silhouette.
MIN_VISIBLE_FRACTION = 0.4
# Fraction of the views that show the object whole, with background all around it, which may miss a part of it: what is
# out of their pictures belongs to something else, and with few views no other silhouette rules that out.
MAX_MISSED_FRACTION = 0.25
# Cells that a hull has at least; what is smaller is taken for noise.
MIN_CELLS = 8
# Cells along a side of the blocks that silhouettes rule out as a whole, before cells are looked at one by one, and the
# cells along a grid's axis from which on this saves time.
BLOCK = 4
MIN_BLOCKED = 48


def hull_bounds(
    silhouettes: Sequence[tuple[Camera, np.ndarray]], centre: np.ndarray, half: float, margin: float
) -> tuple[np.ndarray, float] | None:
    """The cube around the visual hull: its centre `[3]` and half its side; None where there is no hull.

    Args:
        silhouettes: cameras, and for each the pixels `[H, W]` bool that show the object.
        centre, half: centre `[3]` and half the side of the cube to look in.
        margin: scale of the result.

    The hull is looked for twice, the second time within the bounds of the first.
    """
    from scipy.ndimage import distance_transform_edt

    count = min(len(silhouettes), MAX_VIEWS)
    chosen = [silhouettes[i] for i in np.unique(np.linspace(0, len(silhouettes) - 1, count).astype(int))]
    if not all(shape.any() for _, shape in chosen):
        return None
    distances = [(camera, np.asarray(distance_transform_edt(~shape), np.float32)) for camera, shape in chosen]
    most_missed = MAX_MISSED_FRACTION * sum(_shows_whole(shape) for _, shape in chosen)
    for _ in range(2):
        cell = 2 * half / CELLS
        points = _grid((np.arange(CELLS) + 0.5) * cell - half, centre)
        views_seeing, missed = np.zeros((2, len(points)), int)
        for camera, distance in distances:
            kept, inside = _possible(camera, distance, points, cell)
            missed += _shows_whole(distance == 0) & ~inside
            points, views_seeing, missed = points[kept], (views_seeing + inside)[kept], missed[kept]
        points = points[(views_seeing >= len(distances) * MIN_VISIBLE_FRACTION) & (missed <= most_missed)]
        if len(points) < MIN_CELLS:
            return None
        lower, upper = points.min(axis=0) - cell, points.max(axis=0) + cell
        centre, half = (lower + upper) / 2, margin * float((upper - lower).max()) / 2
    return centre, half


def outside_hull(
    views: Iterable[tuple[Camera, np.ndarray]], lower: np.ndarray, side: float, resolution: int
) -> np.ndarray:
    """Cells of a grid over a cube that are outside of the visual hull, `[n, n, n]` bool, x first.

    Some view shows only background there, or no view shows them at all, so that nothing can be learned there, or too
    many of the views that show the object whole do not (`MAX_MISSED_FRACTION`).

    Args:
        views: cameras, and for each the pixels `[H, W]` bool that show something; gone through twice.
        lower, side: lower corner `[3]` and side of the cube.
        resolution: n, the number of cells along each axis.
    """
    cells = _not_ruled_out(views, lower, side, resolution)
    points = _centres(cells, lower, side / resolution, resolution)
    visible, missed, num_whole = np.zeros(len(cells), bool), np.zeros(len(cells), int), 0
    radius = 0.5 * 3**0.5 * side / resolution
    for camera, solid in views:
        intrinsics = camera.intrinsics
        x, y, depth = project(camera, points)
        inside = (depth > radius) & in_image(intrinsics, x, y)
        nearest = float(depth[inside].min()) if inside.any() else 1.0
        keep = ~inside | _near_solid(camera, solid, radius / nearest, inside, x, y)
        if _shows_whole(solid):
            num_whole += 1
            # Half a cell's diagonal in pixels at the cell's own depth.
            own = radius * max(intrinsics.fl_x, intrinsics.fl_y) / np.maximum(depth, radius)
            wide, high = intrinsics.width + own, intrinsics.height + own
            missed += ~((depth > 0) & (x > -own) & (x < wide) & (y > -own) & (y < high))
        cells, points, visible, missed = cells[keep], points[keep], (visible | inside)[keep], missed[keep]
    empty = np.ones(resolution**3, bool)
    empty[cells[visible & (missed <= MAX_MISSED_FRACTION * num_whole)]] = False
    return empty.reshape(resolution, resolution, resolution)


def _not_ruled_out(
    views: Iterable[tuple[Camera, np.ndarray]], lower: np.ndarray, side: float, resolution: int
) -> np.ndarray:
    """Numbers of the cells that are in no block of cells of which a view shows only background, in their order."""
    if resolution < MIN_BLOCKED:
        return np.arange(resolution**3)
    count, block = -(-resolution // BLOCK), BLOCK * side / resolution
    radius, blocks = 0.5 * 3**0.5 * block, np.arange(count**3)
    points = _centres(blocks, lower, block, count)
    for camera, solid in views:
        x, y, depth = project(camera, points)
        # A ball around the block is in front of the camera, and no pixel that it may cover shows something.
        inside = (depth > 2 * radius) & in_image(camera.intrinsics, x, y)
        nearest = float(depth[inside].min()) - radius if inside.any() else 1.0
        keep = ~inside | _near_solid(camera, solid, radius / nearest, inside, x, y)
        blocks, points = blocks[keep], points[keep]
    left = np.zeros(count**3, bool)
    left[blocks] = True
    for axis, shape in enumerate([(count,) * 3, (resolution, count, count), (resolution, resolution, count)]):
        left = np.repeat(left.reshape(shape), BLOCK, axis=axis).take(np.arange(resolution), axis=axis)
    return np.flatnonzero(left)


def _near_solid(
    camera: Camera, solid: np.ndarray, size: float, inside: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Whether pixels `[N]` at x and y, of those `inside`, are near one of `solid` `[H, W]`.

    size: how near, as an angle at the camera.
    """
    reach = int(np.ceil(size * max(camera.intrinsics.fl_x, camera.intrinsics.fl_y)))
    column, row = (np.where(inside, at, 0).astype(np.int64) for at in (x, y))
    return _dilated(solid, reach)[row, column]


def _centres(cells: np.ndarray, lower: np.ndarray, cell: float, count: int) -> np.ndarray:
    """Centres `[N, 3]` of numbered cells of a grid of `count` cells along each axis."""
    return (np.stack(np.unravel_index(cells, (count,) * 3), axis=-1) + 0.5) * cell + lower


def _shows_whole(shape: np.ndarray) -> bool:
    """Whether a silhouette `[H, W]` bool is not cut off by the border of the image."""
    return not (shape[0].any() or shape[-1].any() or shape[:, 0].any() or shape[:, -1].any())


def _grid(axis: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The points `[n^3, 3]` of a grid with the coordinates `axis` `[n]` from `origin` `[3]`, x slowest."""
    return np.stack(np.meshgrid(*(axis + start for start in origin), indexing="ij"), axis=-1).reshape(-1, 3)


def _possible(camera: Camera, distance: np.ndarray, points: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Which cells a camera's silhouette does not rule out, and which are in its image: `[N]` bool each.

    Args:
        distance: `[H, W]`, of each pixel from the silhouette, in pixels.
        points: centres `[N, 3]` of cells with the side `cell`.
    """
    x, y, depth = project(camera, points)
    inside = (depth > cell) & in_image(camera.intrinsics, x, y)
    kept = np.ones(len(points), bool)
    # Half a cell's diagonal in pixels at this depth, and one pixel more.
    reach = 0.87 * cell * camera.intrinsics.fl_x / depth[inside] + 1
    kept[inside] = distance[y[inside].astype(int), x[inside].astype(int)] <= reach
    return kept, inside


def _dilated(mask: np.ndarray, reach: int) -> np.ndarray:
    """True within `reach` pixels of a True pixel, along both sides."""
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, size=2 * reach + 1, mode="constant")
