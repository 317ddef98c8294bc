"""Sample points evenly over a field's surface."""

from __future__ import annotations

import numpy as np

from fields.surface.implicit import Implicit
from fields.surface.project import normals_at, on_surface
from fields.surface.quality import sample_area
from fields.surface.surface_mesh import SurfaceMesh

# Longest way from the mesh to the field's surface, in cells.
REACH_CELLS = 2.0


def sample_surface(implicit: Implicit, mesh: SurfaceMesh, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` points `[n, 3]` uniformly by area, with the field's unit normals there.

    Points are drawn on the mesh and moved onto the field's own surface. Points of an unsigned surface stay on the mesh,
    with its normals.
    """
    positions, normals = sample_area(mesh, count)
    if implicit.type == "unsigned":
        return positions, normals
    positions = on_surface(implicit, positions, mesh.cell / 2, REACH_CELLS * mesh.cell)
    return positions, normals_at(implicit, positions, mesh.normal_width)
