"""What is inside and outside away from a cloud, from a coarse grid: winding numbers of clouds are slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Cells along each side of the unit cube.
CELLS = 64
# Cells of a part of the free space at which winding numbers are computed. All have to agree.
PROBES = 64
# Distance of a winding number from a half below which it says neither inside nor outside.
UNCLEAR = 0.1


class SignGrid:
    """The sign of cells of the unit cube that hold no point of a cloud, by connected parts of free space.

    A surface has no part in a free cell, so all of a connected part is inside or all is outside. Where a cloud has a
    hole, inside and outside are connected, winding numbers of the part disagree, and it stays unknown.
    """

    def __init__(self, tree: Any, winding: Callable[[np.ndarray], np.ndarray], margin: float) -> None:
        """Classify the cells.

        Args:
            tree: a KDTree of the points.
            winding: winding numbers `[n]` of points `[n, 3]`.
            margin: distance of all of a free cell from the points.
        """
        from scipy.ndimage import label

        axis = (np.arange(CELLS) + 0.5) / CELLS
        centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        # Nor is there a point in a neighbour that shares a face with the cell.
        reach = max(2.0, 3**0.5 / 2 + margin * CELLS) / CELLS
        distance = np.asarray(tree.query(centres, 1, distance_upper_bound=reach, workers=-1)[0])
        free = ~np.isfinite(distance).reshape(CELLS, CELLS, CELLS)
        found: Any = label(free)
        parts, count = found
        signs = np.zeros(count + 1, np.int8)
        members = parts.reshape(-1)
        order = np.argsort(members, kind="stable")
        starts = np.searchsorted(members[order], np.arange(count + 2))
        chosen, owners = [], []
        for part in range(1, count + 1):
            cells = order[starts[part] : starts[part + 1]]
            picked = cells[np.linspace(0, len(cells) - 1, min(PROBES, len(cells))).astype(np.int64)]
            chosen.append(centres[picked])
            owners.append(np.full(len(picked), part))
        if count:
            owner, values = np.concatenate(owners), winding(np.concatenate(chosen)) - 0.5
            for part in range(1, count + 1):
                own = values[owner == part]
                if (np.abs(own) > UNCLEAR).all() and np.ptp(np.sign(own)) == 0:
                    signs[part] = np.sign(own[0])
        self._signs = signs[parts]

    def of(self, points: np.ndarray) -> np.ndarray:
        """1 inside, -1 outside, 0 where it is not known, `[n]` int8. Outside of the cube it is not known."""
        index = np.floor(points * CELLS).astype(np.int64)
        within = ((index >= 0) & (index < CELLS)).all(axis=1)
        index = np.clip(index, 0, CELLS - 1)
        return np.where(within, self._signs[index[:, 0], index[:, 1], index[:, 2]], 0).astype(np.int8)
