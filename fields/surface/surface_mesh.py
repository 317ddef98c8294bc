"""Extract the surface of a field as a mesh with normals and colors, and simplify it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike

from fields.surface.coarse_scan import CoarseScan, coarse_scan
from fields.surface.extract import ProgressCallback, Triangles, extract, no_progress
from fields.surface.implicit import Implicit
from fields.surface.lattice import Lattice, make_lattice
from fields.surface.project import colors_at, normals_at, on_surface, to_minimum
from fields.surface.simplify import simplify
from fields.surface.topology import LargeComponents, large_components, watertight
from scenes.errors import BadInput

# Least width over which normals are taken, in units of the longest side; images of the field use the same.
NORMAL_WIDTH = 2e-3
# Distance of the shell around an unsigned surface: in cells, and at least in units of the longest side.
SHELL_CELLS = 1.0
MIN_SHELL = 3e-3
# Distance of the two sides of an unsigned surface from it, in cells.
SIDE_OFFSET = 0.05
# Longest way of simplified vertices back to the field's surface, in cells of the extraction.
REACH_CELLS = 2.0
# Resolution below which a surface that is not found may be too small for the cells.
LOW_RESOLUTION = 64


@dataclass
class SurfaceMesh:
    """A mesh in the implicit's box.

    vertices: `[V, 3]` float64; faces: `[F, 3]` int64.
    normals: unit vectors `[V, 3]` float32; zero where the field is constant.
    colors: sRGB `[V, 3]` float32, or None.
    cell: side of the cells of the lattice it was extracted on.
    evaluations: points at which the field was evaluated.
    notes: sentences that a person should read.
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
        """Whether every edge has exactly two faces with opposite directions along it."""
        return watertight(self.faces)

    @property
    def normal_width(self) -> float:
        """Width over which normals of the field are taken."""
        return max(NORMAL_WIDTH, self.cell)

    @property
    def shell(self) -> float:
        """Distance of the shell around an unsigned surface."""
        return shell(self.cell)


def shell(cell: float) -> float:
    """Distance of the shell around an unsigned surface, for cells of this side; both in the implicit's units."""
    return max(SHELL_CELLS * cell, MIN_SHELL)


def surface_triangles(
    implicit: Implicit,
    resolution: int,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    *,
    scan: CoarseScan | None = None,
    progress: ProgressCallback = no_progress,
) -> Triangles:
    """Extract the surface between `lower` and `upper` as bare triangles; empty where there is none.

    resolution: cells along the longest side. lower, upper: corners `[3]`; None: those of the whole box.
    scan: statistics of that part, if they are known already. progress: is called with the fraction done.

    The one extractor of surfaces: exports write it, and metrics are scored on it (`scored_triangles`). An unsigned
    surface, which has no inside, becomes the closed shell at the distance `shell(cell)` around it.
    """
    return _extracted(implicit, _search(implicit, resolution, lower, upper, scan), progress)


def surface_mesh(
    implicit: Implicit,
    resolution: int,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    *,
    largest: bool = False,
    scan: CoarseScan | None = None,
    progress: ProgressCallback = no_progress,
) -> SurfaceMesh:
    """Extract the surface as a mesh with normals and colors.

    The arguments are those of `surface_triangles`; largest: keep only the largest connected component.

    An unsigned surface becomes its two sides: each vertex of the shell around it moves along its normal to where the
    distance is least, and stays `SIDE_OFFSET` of a cell off it. Raises BadInput where there is no surface.
    """
    search = _search(implicit, resolution, lower, upper, scan)
    found = _extracted(implicit, search, progress)
    cell, shift, scan = search.lattice.cell, search.shift, search.scan
    if not found.crossed:
        low, high = sorted((implicit.value_of(scan.lowest + shift), implicit.value_of(scan.highest + shift)))
        advice = "give a `level` between them" + ("" if resolution >= LOW_RESOLUTION else ", or a higher `resolution`")
        raise BadInput(
            f"there is no surface at the level {implicit.level:g} here: "
            f"the field's values go from {low:.4g} to {high:.4g}; {advice}"
        )
    vertices, faces, notes = found.vertices, found.faces, []
    if largest or implicit.min_component:
        kept = large_components(vertices, faces, 1.0 if largest else implicit.min_component)
        vertices, faces = kept.vertices, kept.faces
        if kept.num_removed:
            notes.append(removal_note(kept, small=not largest))
    mesh = SurfaceMesh(vertices, faces, np.zeros((0, 3), np.float32), None, cell, found.evaluations, notes)
    mesh.normals = normals_at(implicit, vertices, mesh.normal_width)
    if implicit.type == "unsigned":
        mesh.vertices = _onto_unsigned(implicit, vertices, mesh.normals, shift, cell)
    mesh.colors = colors_at(implicit, mesh.vertices)
    return mesh


def scored_triangles(
    implicit: Implicit,
    resolution: int,
    *,
    scan: CoarseScan | None = None,
    progress: ProgressCallback = no_progress,
) -> Triangles:
    """The surface that metrics score and students learn, as exports write it: empty where there is none.

    scan, progress: as for `surface_triangles`, from which it differs for an unsigned surface: its shell is brought onto
    the surface.
    """
    if implicit.type != "unsigned":
        return surface_triangles(implicit, resolution, scan=scan, progress=progress)
    try:
        mesh = surface_mesh(implicit, resolution, scan=scan, progress=progress)
    except BadInput:
        return Triangles(np.zeros((0, 3)), np.zeros((0, 3), np.int64), 0)
    return Triangles(mesh.vertices, mesh.faces, len(mesh.vertices))


def simplified(implicit: Implicit, mesh: SurfaceMesh, faces: int) -> SurfaceMesh:
    """Simplify to at most about `faces` triangles by quadric errors, and move the vertices back to the surface."""
    if len(mesh.faces) <= faces:
        return mesh
    vertices, triangles = simplify(mesh.vertices, mesh.faces, faces)
    normals = normals_at(implicit, vertices, mesh.normal_width)
    if implicit.type != "unsigned":
        vertices = on_surface(implicit, vertices, mesh.cell / 2, REACH_CELLS * mesh.cell)
        normals = normals_at(implicit, vertices, mesh.normal_width)
    return replace(mesh, vertices=vertices, faces=triangles, normals=normals, colors=colors_at(implicit, vertices))


@dataclass(frozen=True)
class _Search:
    """Where a surface is looked for: lattice, level of the function (above 0 for a shell), and statistics."""

    lattice: Lattice
    shift: float
    scan: CoarseScan


def _search(
    implicit: Implicit,
    resolution: int,
    lower: ArrayLike | None,
    upper: ArrayLike | None,
    scan: CoarseScan | None,
) -> _Search:
    """The search of `surface_triangles`, whose arguments these are."""
    lower = np.zeros(3) if lower is None else np.asarray(lower, np.float64)
    upper = np.array(implicit.extents) if upper is None else np.asarray(upper, np.float64)
    lattice = make_lattice(lower, upper, resolution)
    shift = shell(lattice.cell) if implicit.type == "unsigned" else 0.0
    return _Search(lattice, shift, scan or coarse_scan(implicit, lower, upper, shift))


def _extracted(implicit: Implicit, search: _Search, progress: ProgressCallback) -> Triangles:
    """The triangles that a search finds; empty where there is no surface."""
    found = extract(implicit, search.lattice, shift=search.shift, steepness=search.scan.steepness, progress=progress)
    if not found.crossed and implicit.type != "values":
        # A field that was trained on distances may be far from one.
        found = extract(replace(implicit, type="values"), search.lattice, shift=search.shift, progress=progress)
    return found


def removal_note(kept: LargeComponents, *, small: bool) -> str:
    """What was removed, in words."""
    components = f"{'small ' if small else ''}component{'' if kept.num_removed == 1 else 's'}"
    keep = "; `keep_components` keeps them" if small else ""
    return f"Removed {kept.num_removed:,} {components} ({kept.removed_fraction:.2%} of the area{keep})"


def _onto_unsigned(
    implicit: Implicit, vertices: np.ndarray, normals: np.ndarray, shift: float, cell: float
) -> np.ndarray:
    points = torch.from_numpy(vertices).float().to(implicit.device)
    directions = torch.from_numpy(normals).to(implicit.device)
    positions = to_minimum(implicit.function, points, directions, 2 * shift) + directions * (SIDE_OFFSET * cell)
    return positions.cpu().numpy().astype(np.float64)
