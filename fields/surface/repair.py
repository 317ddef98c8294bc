"""Make a mesh edge-manifold again: take out the few faces that share an edge wrongly, and close the gaps."""

from __future__ import annotations

import numpy as np

from fields.surface.holes import boundary_loops, close_loops
from fields.surface.topology import select_faces

# Rims with more edges were holes before, or are no small matter.
MAX_GAP = 24
# Rounds; each one only removes faces, or adds some around new vertices.
ROUNDS = 4


def repair(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mesh without degenerate or doubled faces, without edges of more than two faces, and without opposed faces.

    Faces that break one of these rules are removed, and the gaps that they leave are closed; other holes stay.
    """
    for _ in range(ROUNDS):
        bad = _bad_faces(faces)
        if not bad.any():
            return vertices, faces
        around = np.zeros(len(vertices), bool)
        around[faces[bad]] = True
        faces = faces[~bad]
        gaps = [loop for loop in boundary_loops(faces) if len(loop) <= MAX_GAP and around[loop].mean() > 0.5]
        vertices, faces = close_loops(vertices, faces, gaps)
    vertices, faces, _ = select_faces(vertices, faces, ~_bad_faces(faces))
    return vertices, faces


def _bad_faces(faces: np.ndarray) -> np.ndarray:
    """Faces `[F]` bool that repeat a vertex, that appear twice, or that share an edge with more than one other face or
    with one that runs along it in the same direction."""
    bad = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])
    if not len(faces):
        return bad
    _, inverse, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    bad |= count[inverse.reshape(-1)] > 1
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    base = int(faces.max()) + 1
    directed = edges[:, 0] * base + edges[:, 1]
    _, inverse, count = np.unique(directed, return_inverse=True, return_counts=True)
    return bad | (count[inverse.reshape(-1)].reshape(-1, 3) > 1).any(axis=1)
