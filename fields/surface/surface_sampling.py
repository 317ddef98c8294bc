"""Places spread over a field's surface."""

from __future__ import annotations

import numpy as np

from fields.surface.implicit import Implicit
from fields.surface.project import normals_at, on_surface
from fields.surface.quality import spread
from fields.surface.surface_mesh import SurfaceMesh

# From the mesh to the field's surface, at most so many cells.
REACH_CELLS = 2.0


def scattered(implicit: Implicit, mesh: SurfaceMesh, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` places `[n, 3]`, even by area, drawn on the mesh and moved onto the field's own surface, and its unit normals there.

    Of a sheet, which the mesh follows at a distance, they are the mesh's.
    """
    places, normals = spread(mesh, count)
    if implicit.type == "unsigned":
        return places, normals
    places = on_surface(implicit, places, mesh.cell / 2, REACH_CELLS * mesh.cell)
    return places, normals_at(implicit, places, mesh.normal_width)
