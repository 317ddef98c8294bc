"""Cut a mesh with a plane, and keep one side."""

from __future__ import annotations

import numpy as np

from fields.surface.holes import boundary_loops, close_loops
from fields.surface.topology import select_faces

# Distance within which a vertex lies on the plane, as a fraction of the mesh's longest side.
HAIR = 1e-9


def clip(
    vertices: np.ndarray, faces: np.ndarray, point: np.ndarray, normal: np.ndarray, *, closed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a mesh on the side of a plane that its normal points to.

    point: `[3]` on the plane; normal: `[3]`, of any length. closed: whether the cut is closed flat; holes that were
        there before stay.

    Faces that the plane crosses are divided; their new vertices are shared, so that a welded mesh stays welded.
    """
    height = (vertices - point) @ (np.asarray(normal) / np.linalg.norm(normal))
    # A vertex on the plane counts as a hair's breadth above it, so that no triangle becomes a point.
    hair = HAIR * float(np.ptp(vertices, axis=0).max(initial=0.0))
    height = np.where(np.abs(height) < hair, hair, height)
    inside = height > 0
    count = inside[faces].sum(axis=1)
    cut = faces[(count == 1) | (count == 2)]
    two = inside[cut].sum(axis=1) == 2
    # Turned so that corner 0 is alone on its side.
    alone = np.argmax(inside[cut] != two[:, None], axis=1)
    a, b, c = (np.take_along_axis(cut, (alone[:, None] + k) % 3, axis=1)[:, 0] for k in range(3))
    pairs = np.sort(np.concatenate([np.stack([a, b], axis=1), np.stack([a, c], axis=1)]), axis=1)
    edges, index = np.unique(pairs, axis=0, return_inverse=True)
    index = index.reshape(-1)
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    at = np.clip(low / np.where(low == high, 1.0, low - high), 0.0, 1.0)[:, None]
    added = vertices[edges[:, 0]] * (1 - at) + vertices[edges[:, 1]] * at
    ab, ac = (len(vertices) + part for part in (index[: len(cut)], index[len(cut) :]))
    one = ~two
    parts = [
        faces[count == 3],
        np.stack([a, ab, ac], axis=1)[one],
        np.stack([ab, b, c], axis=1)[two],
        np.stack([ab, c, ac], axis=1)[two],
    ]
    everything, result = np.concatenate([vertices, added]), np.concatenate(parts)
    kept, result, used = select_faces(everything, result, np.ones(len(result), bool))
    if not closed:
        return kept, result
    rims = [loop for loop in boundary_loops(result) if (used[loop] >= len(vertices)).all()]
    return close_loops(kept, result, rims, flat=True)
