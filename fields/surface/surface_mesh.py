"""Extract the surface of a field as a mesh with normals and colors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike

from fields.surface.coarse_scan import CoarseScan, coarse_scan
from fields.surface.extract import Triangles, extract
from fields.surface.implicit import Implicit
from fields.surface.lattice import lattice
from fields.surface.project import colors_at, normals_at, on_surface, to_minimum
from fields.surface.topology import large_components, watertight
from scenes.errors import BadInput

# Least width over which normals are taken, in units of the longest side; renders of the field use the same.
NORMAL_WIDTH = 2e-3
# Distance of the shell around an unsigned surface, at first: in cells and in units of the longest side.
SHELL_CELLS = 1.0
SHELL = 3e-3
# Distance of its two sides from the surface at the end, in cells.
SIDE_OFFSET = 0.05
# Longest way of simplified vertices back to the field's surface, in cells of the extraction.
REACH_CELLS = 2.0
# Aggressiveness of fast_simplification, 0 to 10 (fastest): at its default of 7 some edges get four faces.
AGGRESSIVENESS = 3


@dataclass
class SurfaceMesh:
    """A mesh in the implicit's box: `vertices` `[V, 3]` float64, `faces` `[F, 3]` int64, unit `normals` `[V, 3]`
    float32.

    `colors`: sRGB `[V, 3]` float32, or None. `cell`: side of the lattice's cells, in the same units. `evaluations`:
    points at which the field was evaluated. `notes`: lines that a person should read.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None
    cell: float
    evaluations: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def watertight(self) -> bool:
        return watertight(self.faces)

    @property
    def normal_width(self) -> float:
        return max(NORMAL_WIDTH, self.cell)

    @property
    def shell(self) -> float:
        return shell(self.cell)


def shell(cell: float) -> float:
    """Distance of the shell around an unsigned surface, in the implicit's units, for cells of a side."""
    return max(SHELL_CELLS * cell, SHELL)


def surface_triangles(
    implicit: Implicit,
    resolution: int,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    *,
    scan: CoarseScan | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Triangles:
    """Extract the surface between `lower` and `upper` (default: the whole box); empty where there is none.

    The one extractor of surfaces: metrics are scored on what it returns, and exports write it. An unsigned surface,
    which has no inside, becomes the closed shell at the distance `shell(cell)` around it.
    """
    lower = np.zeros(3) if lower is None else np.asarray(lower, np.float64)
    upper = np.array(implicit.extents) if upper is None else np.asarray(upper, np.float64)
    cells = lattice(lower, upper, resolution)
    shift = shell(cells.cell) if implicit.type == "unsigned" else 0.0
    scan = scan or coarse_scan(implicit, lower, upper, shift)
    found = extract(implicit, cells, shift, scan.steepness, progress)
    if not found.crossed and implicit.type != "values":
        # A field that was trained on distances may be far from one.
        found = extract(replace(implicit, type="values"), cells, shift, progress=progress)
    return found


def surface_mesh(
    implicit: Implicit,
    resolution: int,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    *,
    largest: bool = False,
    scan: CoarseScan | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> SurfaceMesh:
    """Extract the surface as a mesh with normals and colours; BadInput where there is none.

    An unsigned surface becomes its two sides: each vertex of the shell around it moves along its normal to where the
    distance is least, and stays `SIDE_OFFSET` of a cell off it.
    """
    lower = np.zeros(3) if lower is None else np.asarray(lower, np.float64)
    upper = np.array(implicit.extents) if upper is None else np.asarray(upper, np.float64)
    cells = lattice(lower, upper, resolution)
    shift = shell(cells.cell) if implicit.type == "unsigned" else 0.0
    scan = scan or coarse_scan(implicit, lower, upper, shift)
    found = surface_triangles(implicit, resolution, lower, upper, scan=scan, progress=progress)
    if not found.crossed:
        low, high = sorted((implicit.value_of(scan.lowest + shift), implicit.value_of(scan.highest + shift)))
        raise BadInput(
            f"there is no surface at the level {implicit.level:g} here: the field's values go from {low:.4g} to {high:.4g}; "
            "give a `level` between them" + ("" if resolution >= 64 else ", or a higher `resolution`")
        )
    vertices, faces, notes = found.vertices, found.faces, []
    if largest or implicit.min_component:
        before = len(faces)
        vertices, faces, _ = large_components(vertices, faces, 1.0 if largest else implicit.min_component)
        if len(faces) < before:
            notes.append(f"{before - len(faces):,} of {before:,} faces are in small components were removed")
    mesh = SurfaceMesh(vertices, faces, np.zeros((0, 3), np.float32), None, cells.cell, found.evaluations, notes)
    mesh.normals = normals_at(implicit, vertices, mesh.normal_width)
    if implicit.type == "unsigned":
        mesh.vertices = _onto_unsigned(implicit, vertices, mesh.normals, shift, cells.cell)
    mesh.colors = colors_at(implicit, mesh.vertices)
    return mesh


def simplified(implicit: Implicit, mesh: SurfaceMesh, faces: int) -> SurfaceMesh:
    """Simplify to at most about `faces` triangles by quadric errors, and move the vertices back to the field's surface."""
    if len(mesh.faces) <= faces:
        return mesh
    import fast_simplification

    vertices, triangles = fast_simplification.simplify(
        mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_count=faces, agg=AGGRESSIVENESS
    )
    vertices, triangles = vertices.astype(np.float64), triangles.astype(np.int64)
    # It may join components or stop early; libigl's does neither, but takes ten times as long.
    whole = not mesh.watertight or watertight(triangles)
    if not whole or len(triangles) > faces:
        import igl

        start = (vertices, triangles) if whole else (mesh.vertices, mesh.faces)
        vertices, triangles = (np.array(part) for part in igl.qslim(*start, faces)[:2])
    normals = normals_at(implicit, vertices, mesh.normal_width)
    if implicit.type != "unsigned":
        vertices = on_surface(implicit, vertices, mesh.cell / 2, REACH_CELLS * mesh.cell)
        normals = normals_at(implicit, vertices, mesh.normal_width)
    return replace(mesh, vertices=vertices, faces=triangles, normals=normals, colors=colors_at(implicit, vertices))


def _onto_unsigned(
    implicit: Implicit, vertices: np.ndarray, normals: np.ndarray, shift: float, cell: float
) -> np.ndarray:
    points = torch.from_numpy(vertices).float().to(implicit.device)
    directions = torch.from_numpy(normals).to(implicit.device)
    positions = to_minimum(implicit.function, points, directions, 2 * shift) + directions * (SIDE_OFFSET * cell)
    return positions.cpu().numpy().astype(np.float64)
