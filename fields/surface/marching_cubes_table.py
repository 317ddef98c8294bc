"""The table of marching cubes: the triangles of its 256 cases (Lorensen and Cline 1987), taken from libigl.

libigl's table leaves no holes: whatever the signs, the triangles of neighbouring cubes meet along their common face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Bit i of a case is set where corner i is inside.
CORNERS = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)])


@dataclass(frozen=True)
class MarchingCubesTable:
    """Triangles of each case. Case c has the triangles `first[c]` to `first[c] + count[c] - 1`.

    Corner k of triangle t lies on the edge that goes from the cube's node `offset[t, k]` (`[T, 3, 3]`, 0 or 1) to the
    next node along `axis[t, k]` (`[T, 3]`). Triangles turn anticlockwise seen from outside.
    """

    count: np.ndarray
    first: np.ndarray
    offset: np.ndarray
    axis: np.ndarray


@lru_cache(maxsize=1)
def marching_cubes_table() -> MarchingCubesTable:
    """Build the table by asking libigl for one cube of each case."""
    import igl

    middles = []
    for case in range(256):
        inside = case >> np.arange(8) & 1
        # With plus and minus one at the corners, every vertex is the middle of an edge.
        vertices, faces, _ = igl.marching_cubes(
            np.where(inside, -1.0, 1.0), CORNERS.astype(np.float64), np.arange(8)[None], 0.0
        )
        middles.append(np.rint(2 * vertices).astype(np.int64)[faces].reshape(-1, 3, 3))
    count = np.array([len(part) for part in middles])
    doubled = np.concatenate(middles)
    return MarchingCubesTable(count, np.cumsum(count) - count, doubled // 2, np.argmax(doubled % 2, axis=-1))
