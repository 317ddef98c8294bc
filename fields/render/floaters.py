"""Remove floaters from an occupancy grid: cells that cameras do not see, small components, cells outside a crop box.

Cells are `[cascades, n, n, n]` bool, x first. Cascade 0 spans `lower` .. `upper`; each further one spans twice as much
around the same centre. What is removed is neither rendered nor meshed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import torch

from fields.models.field import RadianceField
from scenes.posed.camera import Camera
from scenes.posed.projection import in_image, project

# Cameras that visibility is tested with; of more, an even selection.
MAX_VIEWS = 120
# Cameras that must see a cell for it to stay.
MIN_VISIBLE = 2
# Components with a smaller fraction of the largest component's cells are removed.
MIN_COMPONENT = 0.01

AnyCamera = TypeVar("AnyCamera", bound=Camera)


def remove_floaters(
    cells: np.ndarray, lower: Sequence[float], upper: Sequence[float], cameras: Sequence[Camera]
) -> np.ndarray:
    """Occupied cells seen by at least two cameras (one, if there is only one) and not in a small component."""
    return remove_small_components(
        visible_cells(cells, lower, upper, cameras, min_views=min(MIN_VISIBLE, len(cameras)))
    )


def remove_floaters_of(field: RadianceField, cameras: Sequence[Camera]) -> float:
    """Apply `remove_floaters` to a field in memory; its run keeps its cells.

    Returns the fraction of the occupied cells that was removed.
    """
    axes, before = field.domain.axes[:3], field.grid.occupancy.cells().cpu().numpy()
    lower, upper = [axis.lower for axis in axes], [axis.upper for axis in axes]
    cells = remove_floaters(before, lower, upper, cameras)
    field.set_occupied(torch.from_numpy(cells))
    if field.samples_by_proposals:
        # Proposed samples go to cells that are not occupied, too. They may go wherever two cameras see, except to the
        # cells that were removed.
        visible = visible_cells(np.ones_like(cells), lower, upper, cameras, min_views=min(MIN_VISIBLE, len(cameras)))
        field.limit_proposals(torch.from_numpy(visible & ~(before & ~cells)))
    return 1.0 - float(cells.sum()) / max(1, int(before.sum()))


def cell_centres(
    indices: np.ndarray, resolution: int, lower: Sequence[float], upper: Sequence[float], *, cascade: int = 0
) -> np.ndarray:
    """Centres `[M, 3]` float64 of the cells with these indices, `[M, 3]`, in a cascade."""
    first, last = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    return (first + last) / 2 + ((indices + 0.5) / resolution - 0.5) * (last - first) * 2.0**cascade


def crop(
    cells: np.ndarray,
    lower: Sequence[float],
    upper: Sequence[float],
    *,
    box_lower: Sequence[float],
    box_upper: Sequence[float],
) -> np.ndarray:
    """The cells that overlap the box `box_lower` .. `box_upper`. ValueError if the box is empty."""
    resolution = _resolution(cells)
    if not (np.asarray(box_lower) < np.asarray(box_upper)).all():
        raise ValueError(
            f"a box to crop to goes from a lower to an upper corner, not from {list(box_lower)} to {list(box_upper)}"
        )
    sides = np.asarray(upper, np.float64) - np.asarray(lower, np.float64)
    kept = cells.copy()
    for cascade in range(len(cells)):
        half = sides * 2.0**cascade / resolution / 2
        for axis in range(3):
            indices = np.zeros((resolution, 3))
            indices[:, axis] = np.arange(resolution)
            centre = cell_centres(indices, resolution, lower, upper, cascade=cascade)[:, axis]
            outside = (centre + half[axis] <= box_lower[axis]) | (centre - half[axis] >= box_upper[axis])
            np.moveaxis(kept[cascade], axis, 0)[outside] = False
    return kept


def visible_cells(
    cells: np.ndarray,
    lower: Sequence[float],
    upper: Sequence[float],
    cameras: Sequence[Camera],
    *,
    min_views: int = 1,
) -> np.ndarray:
    """The occupied cells whose centre is in the image of at least `min_views` cameras.

    Occlusion is not tested: the inside of a solid stays, so that its mesh has one surface and not two.
    """
    resolution = _resolution(cells)
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), MAX_VIEWS)).astype(int))
    kept = np.zeros_like(cells)
    for cascade in range(len(cells)):
        indices = np.argwhere(cells[cascade])
        points = cell_centres(indices, resolution, lower, upper, cascade=cascade)
        num_views = np.zeros(len(indices), int)
        for camera in (cameras[index] for index in chosen):
            pending = (num_views < min_views).nonzero()[0]
            x, y, depth = project(camera, points[pending])
            num_views[pending] += (depth > 0) & in_image(camera.intrinsics, x, y)
        kept[cascade][tuple(indices[num_views >= min_views].T)] = True
    return kept


def remove_small_components(cells: np.ndarray, min_fraction: float = MIN_COMPONENT) -> np.ndarray:
    """The cells of components with at least `min_fraction` of the largest component's cells.

    Cells that touch, even at a corner, belong to one component. With several cascades, a component that reaches the
    border of its cascade continues in the next one and stays. ValueError unless `min_fraction` is in [0, 1].
    """
    from scipy.ndimage import label

    _resolution(cells)
    if not 0.0 <= min_fraction <= 1.0:
        raise ValueError(f"min_fraction is between 0 and 1, not {min_fraction}")
    kept = np.zeros_like(cells)
    for cascade, occupied in enumerate(cells):
        labels, count = cast(tuple[np.ndarray, int], label(occupied, structure=np.ones((3, 3, 3))))
        if not count:
            continue
        sizes = np.bincount(labels.reshape(-1), minlength=count + 1)
        large = sizes >= min_fraction * sizes[1:].max()
        if len(cells) > 1:
            borders = [np.moveaxis(labels, axis, 0)[end] for axis in range(3) for end in (0, -1)]
            large[np.unique(np.concatenate([border.reshape(-1) for border in borders]))] = True
        large[0] = False
        kept[cascade] = large[labels]
    return kept


def cameras_in_matter(
    cells: np.ndarray, lower: Sequence[float], upper: Sequence[float], cameras: Sequence[AnyCamera]
) -> list[AnyCamera]:
    """The cameras that stand in an occupied cell of the finest cascade that contains them.

    A fit produces this where poses are wrong, or where cameras stand in the middle of the scene's box.
    """
    resolution = _resolution(cells)
    first, last = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    found = []
    for camera in cameras:
        for cascade in range(len(cells)):
            cell = ((camera.position - (first + last) / 2) / (last - first) / 2.0**cascade + 0.5) * resolution
            if (cell >= 0).all() and (cell < resolution).all():
                if cells[cascade][tuple(cell.astype(int))]:
                    found.append(camera)
                break
    return found


def _resolution(cells: np.ndarray) -> int:
    """Cells along an axis. ValueError unless cells are `[cascades, n, n, n]` bool."""
    if cells.ndim != 4 or cells.dtype != bool or len(set(cells.shape[1:])) != 1:
        raise ValueError(f"cells are [cascades, n, n, n] bool, not {list(cells.shape)} {cells.dtype}")
    return cells.shape[1]
