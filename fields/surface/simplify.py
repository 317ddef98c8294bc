"""Simplify meshes by quadric errors (Garland and Heckbert 1997)."""

from __future__ import annotations

import numpy as np

from fields.surface.topology import edge_manifold, watertight

# Aggressiveness of fast_simplification, 0 to 10 (fastest): at its default of 7 some edges get four faces.
AGGRESSIVENESS = 3


def simplify(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Simplify a welded mesh to at most about `count` faces: new vertices `[V, 3]` float64 and faces `[F, 3]` int64.

    Vertices move to where the quadric error is least, which is near the surface and not on it. A watertight mesh stays
    watertight, and no edge gets more than two faces where none had. A mesh that is small enough is returned as it is.
    """
    if len(faces) <= count:
        return vertices, faces
    import fast_simplification

    simpler = fast_simplification.simplify(
        vertices.astype(np.float32),  # pyright: ignore[reportArgumentType]
        faces.astype(np.int32),
        target_count=count,
        agg=AGGRESSIVENESS,
    )
    found = simpler[0].astype(np.float64), simpler[1].astype(np.int64)
    # It may join components or stop early; libigl's does neither, but takes ten times as long.
    intact = watertight(found[1]) if watertight(faces) else edge_manifold(found[1]) or not edge_manifold(faces)
    if not intact or len(found[1]) > count:
        import igl

        start = found if intact else (vertices, faces)
        simpler = igl.qslim(*start, count)
        found = np.array(simpler[0], np.float64), np.array(simpler[1], np.int64)
    return found
