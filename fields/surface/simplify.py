"""Simplify meshes by quadric errors (Garland and Heckbert 1997)."""

from __future__ import annotations

import numpy as np

from fields.surface.holes import boundary_loops, close_loops
from fields.surface.repair import repair
from fields.surface.topology import watertight

# Aggressiveness of fast_simplification, 0 to 10 (fastest). It may stop early at a low one, and makes longer slivers at
# a high one, so each is tried in turn.
AGGRESSIVENESS = (3, 7, 9)
# Vertices whose distance from the simplified surface is measured.
ERROR_SAMPLES = 20_000
# Fraction of its faces that a mesh must lose in a step; what loses less is as simple as it gets.
LEAST_LOSS = 0.2


def simplify(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Simplify a welded mesh to at most about `count` faces: new vertices `[V, 3]` float64 and faces `[F, 3]` int64.

    Vertices move to where the quadric error is least, which is near the surface and not on it. The result is
    edge-manifold, and watertight if the mesh was. A mesh that is small enough is returned as it is.
    """
    if len(faces) <= count:
        return vertices, faces
    import fast_simplification

    closed = watertight(faces)
    # float32 has the same precision everywhere in the mesh only if that lies around the origin.
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    vertices = vertices - centre
    for aggressiveness in AGGRESSIVENESS:
        if len(faces) <= count:
            break
        simpler = fast_simplification.simplify(
            vertices.astype(np.float32),  # pyright: ignore[reportArgumentType]
            faces.astype(np.int32),
            target_count=count,
            agg=aggressiveness,
        )
        # It joins some components and folds some faces over others.
        vertices, faces = repair(simpler[0].astype(np.float64), simpler[1].astype(np.int64))
        if closed and not watertight(faces):
            vertices, faces = close_loops(vertices, faces, boundary_loops(faces))
    return vertices + centre, faces


def simplify_within(vertices: np.ndarray, faces: np.ndarray, count: int, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Simplify to at most about `count` faces, and further while that moves the surface by no more than `error`.

    A curved surface keeps `count` faces; of a flat one few are left. The number of faces is halved as long as the root
    mean square distance of the mesh's own vertices from the result is at most `error`. Where nothing can be left out,
    the arrays that were given are returned.
    """
    samples = vertices[:: max(1, len(vertices) // ERROR_SAMPLES)]
    found = simplify(vertices, faces, count)
    while len(found[1]) > 4:
        fewer = simplify(*found, len(found[1]) // 2)
        lost = 1 - len(fewer[1]) / len(found[1])
        if lost < LEAST_LOSS or not len(fewer[1]) or _root_mean_square_distance(samples, *fewer) > error:
            break
        found = fewer
    return found


def _root_mean_square_distance(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    import igl

    found = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points, np.float64), np.ascontiguousarray(vertices, np.float64), faces
    )
    return float(np.asarray(found[0]).mean() ** 0.5)
