"""Table of marching cubes: the triangles of its 256 cases (Lorensen and Cline 1987), taken from libigl.

libigl's table leaves no holes: the triangles of neighbouring cubes meet along their common face for all signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Corners of a cube. Bit i of a case is set where corner i is inside.
CORNERS = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)])


@dataclass(frozen=True)
class MarchingCubesTable:
    """Triangles of each case. Case c has the triangles `first[c]` to `first[c] + count[c] - 1`.

    count, first: `[256]`.
    offset, axis: `[T, 3, 3]`, 0 or 1, and `[T, 3]`. Corner k of triangle t lies on the edge from the cube's node
        `offset[t, k]` to the next node along `axis[t, k]`.

    The corners of a triangle are in counterclockwise order seen from outside.
    """

    count: np.ndarray
    first: np.ndarray
    offset: np.ndarray
    axis: np.ndarray


@lru_cache(maxsize=1)
def marching_cubes_table() -> MarchingCubesTable:
    """Build the table by asking libigl for one cube of each case."""
    import igl

    doubled_midpoints = []
    for case in range(256):
        inside = case >> np.arange(8) & 1
        # With plus and minus one at the corners, every vertex is the midpoint of an edge.
        vertices, faces, _ = igl.marching_cubes(
            np.where(inside, -1.0, 1.0), CORNERS.astype(np.float64), np.arange(8)[None], 0.0
        )
        doubled = np.rint(2 * np.asarray(vertices)).astype(np.int64)
        doubled_midpoints.append(doubled[np.asarray(faces)].reshape(-1, 3, 3))
    count = np.array([len(part) for part in doubled_midpoints])
    doubled = np.concatenate(doubled_midpoints)
    return MarchingCubesTable(
        count=count,
        first=np.cumsum(count) - count,
        offset=doubled // 2,
        axis=np.argmax(doubled % 2, axis=-1),
    )
