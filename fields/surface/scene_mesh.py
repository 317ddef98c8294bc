"""The surface of a fitted scene as a mesh: where rays stop, without what no camera saw.

A field with a surface (`RadianceField.has_surface`) is meshed where its signed distance is zero. Of any other field,
the depths that its cameras see are fused.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from fields.models.field import RadianceField
from fields.render.sphere_trace import in_chunks
from fields.surface.cleanup import Cleaned, keep_faces, keep_large_components, keep_seen_components
from fields.surface.extract import ProgressCallback, Triangles, extract, no_progress
from fields.surface.fused_depths import fuse_depths, implicit_depths
from fields.surface.implicit import Implicit
from fields.surface.lattice import make_lattice
from fields.surface.project import normals_at, on_surface
from fields.surface.radiance import Radiance
from fields.surface.simplify import simplify
from fields.surface.topology import signed_volume
from fields.surface.visibility import seen_faces
from scenes.errors import BadInput
from scenes.posed.camera import Camera

# Cells along the longest side.
RESOLUTION = 256
# Largest slope of a fitted signed distance near its surface; away from data it is steeper, and nothing is there.
STEEPNESS = 2.0
# Fraction of the time for the surface itself where depths are fused; the rest is for what follows.
SURFACE_TIME = 0.75
# Width over which normals are taken, in cells.
NORMAL_CELLS = 1.0
# Longest way of simplified vertices back to the surface, in cells.
REACH_CELLS = 2.0
# Removing less than this fraction of the area is not worth a line.
MIN_REPORTED = 5e-4

# Lower and upper corner in units of the scene.
Box = tuple[Sequence[float], Sequence[float]]


@dataclass
class SceneMesh:
    """The surface of a scene as a triangle mesh.

    vertices: `[V, 3]` float64, in units of the scene (those of the poses).
    faces: `[F, 3]` int64, counter-clockwise from outside.
    normals: unit vectors `[V, 3]` float32.
    implicit: the surface as a function of points of the field's cube, for projections and colors.
    cell: side of the cells of the lattice it was extracted on, in units of the scene.
    removed: fraction of the area that each step of the clean-up removed, by name.
    seconds: time of each step.
    notes: sentences that a person should read.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    implicit: Implicit
    cell: float
    removed: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def scene_mesh(
    scene_field: RadianceField,
    cameras: Sequence[Camera],
    *,
    resolution: int = RESOLUTION,
    box: Box | None = None,
    faces: int | None = None,
    keep_unseen: bool = False,
    time: float = 0.0,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> SceneMesh:
    """Extract the surface of a scene, clean it, and simplify it.

    cameras: those of the photographs, in units of the scene.
    resolution: cells along the longest side of the box.
    box: part that is meshed; None: the part of the field's cube where something is.
    faces: largest number of triangles; None: as many as there are.
    keep_unseen: whether parts of the surface that no camera saw stay where they belong to a component that one saw, so
        that a closed surface stays closed. Components that no camera saw are removed in either case.
    time: moment of a moving scene, in [0, 1].
    seconds: wall clock of the whole, for fields without a surface; depth maps get smaller where it is short.
    progress: is called with the fraction done.

    Raises BadInput where there is no surface, and for a box outside of the field.
    """
    begun = clock.perf_counter()
    scene = Radiance(scene_field, time)
    lower, upper = _box_in_cube(scene, box)
    if scene_field.has_surface:
        found, implicit, cell, took, notes = _distance_surface(scene, lower, upper, resolution, progress)
    else:
        share = None if seconds is None else SURFACE_TIME * seconds
        if box is None:
            lower = upper = None
        found, implicit, cell, took, notes = _depth_surface(
            scene, cameras, lower, upper, resolution, share, lambda x: progress(0.7 * x)
        )
    mesh = SceneMesh(
        implicit.to_file(found.vertices),
        found.faces,
        np.zeros((0, 3), np.float32),
        implicit,
        cell * implicit.side,
        seconds=took,
        notes=notes,
    )
    del found
    _clean(mesh, cameras, keep_unseen, lambda x: progress(0.7 + 0.2 * x))
    if not len(mesh.faces):
        raise BadInput("no camera sees a surface; fit longer, or check the poses")
    if scene_field.has_surface and signed_volume(mesh.vertices, mesh.faces) < 0:
        mesh.notes.append("The surface encloses what is outside: the field's distances have the wrong sign")
    if faces is not None and len(mesh.faces) > faces:
        _simplify(mesh, faces)
    progress(0.97)
    points = implicit.from_file(mesh.vertices)
    mesh.normals = _normals(implicit, points, mesh.vertices, mesh.faces, NORMAL_CELLS * cell)
    mesh.seconds["total"] = clock.perf_counter() - begun
    progress(1.0)
    return mesh


def implicit_distance(scene: Radiance) -> Implicit:
    """The surface of a field with a signed distance, as a function of points of its cube."""
    return Implicit(
        function=lambda points: scene.field.signed_distance(scene.to_coords(points)),
        type="distance",
        colors=scene.colors,
        extents=scene.extents,
        corner=scene.corner,
        side=scene.side,
        level=0.0,
        value_of=float,
        device=scene.device,
    )


_Surface = tuple[Triangles, Implicit, float, dict[str, float], list[str]]


def _distance_surface(
    scene: Radiance, lower: np.ndarray, upper: np.ndarray, resolution: int, progress: ProgressCallback
) -> _Surface:
    """The zero set of the field's signed distance in occupied cells of the box, and how it was made."""
    begun = clock.perf_counter()
    implicit = implicit_distance(scene)
    lattice = make_lattice(lower, upper, resolution)
    found = extract(implicit, lattice, steepness=STEEPNESS, progress=lambda x: progress(0.7 * x))
    if not found.crossed:
        raise BadInput(f"the field has no surface here: {_range_of(implicit, lower, upper)}")
    vertices, faces, removed, notes = found.vertices, found.faces, 0.0, []
    inside = _near_occupied(scene, vertices[faces].mean(axis=1))
    if not inside.all():
        cleaned = keep_faces(vertices, faces, inside)
        vertices, faces, removed = cleaned.vertices, cleaned.faces, cleaned.fraction
    if removed > MIN_REPORTED:
        notes.append(f"Removed surfaces in empty cells ({removed:.1%} of the area)")
    took = {"extraction": clock.perf_counter() - begun}
    return Triangles(vertices, faces, found.crossed, found.evaluations), implicit, lattice.cell, took, notes


def _depth_surface(
    scene: Radiance,
    cameras: Sequence[Camera],
    lower: np.ndarray | None,
    upper: np.ndarray | None,
    resolution: int,
    seconds: float | None,
    progress: ProgressCallback,
) -> _Surface:
    """The fused depths of a field without a surface, and how they were made."""
    if not cameras:
        raise BadInput("a scene without cameras has no depths to mesh; give a `level` of its density")
    fused = fuse_depths(scene, cameras, resolution, lower=lower, upper=upper, seconds=seconds, progress=progress)
    begun = clock.perf_counter()
    triangles = fused.volume.triangles()
    took = {**fused.seconds, "extraction": clock.perf_counter() - begun}
    notes = []
    if fused.maps < fused.views:
        notes.append(f"Fused the depths of {fused.maps} of {fused.views} cameras")
    notes.append(
        "The field was fitted without a surface, so its mesh is rougher than its renders; fit it with `method=neus`"
    )
    return triangles, implicit_depths(scene, fused.volume), fused.volume.lattice.cell, took, notes


def _clean(mesh: SceneMesh, cameras: Sequence[Camera], keep_unseen: bool, progress: ProgressCallback) -> None:
    """Remove what no camera saw, and small components."""
    begun = clock.perf_counter()
    seen = np.ones(len(mesh.faces), bool)
    if cameras:
        seen = seen_faces(mesh.vertices, mesh.faces, cameras, mesh.cell, progress=progress)
        if keep_unseen:
            cleaned = keep_seen_components(mesh.vertices, mesh.faces, seen)
            _take(mesh, cleaned, "unseen", f"{cleaned.removed:,} components that no camera saw")
        else:
            cleaned = keep_faces(mesh.vertices, mesh.faces, seen)
            _take(mesh, cleaned, "unseen", "what no camera saw")
    cleaned = keep_large_components(mesh.vertices, mesh.faces)
    _take(mesh, cleaned, "small", f"{cleaned.removed:,} small component{'' if cleaned.removed == 1 else 's'}")
    mesh.seconds["cleaning"] = clock.perf_counter() - begun


def _take(mesh: SceneMesh, cleaned: Cleaned, name: str, what: str) -> None:
    """Replace the mesh by a cleaned one, and note what was removed."""
    mesh.vertices, mesh.faces = cleaned.vertices, cleaned.faces
    mesh.removed[name] = cleaned.fraction
    if cleaned.fraction > MIN_REPORTED:
        mesh.notes.append(f"Removed {what} ({cleaned.fraction:.1%} of the area)")


def _simplify(mesh: SceneMesh, faces: int) -> None:
    """Simplify to at most about `faces` triangles, and move the vertices back to the surface."""
    begun = clock.perf_counter()
    vertices, mesh.faces = simplify(mesh.vertices, mesh.faces, faces)
    implicit, cell = mesh.implicit, mesh.cell / mesh.implicit.side
    mesh.vertices = implicit.to_file(on_surface(implicit, implicit.from_file(vertices), cell / 2, REACH_CELLS * cell))
    mesh.seconds["simplification"] = clock.perf_counter() - begun


def _normals(
    implicit: Implicit, points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, width: float
) -> np.ndarray:
    """Unit normals `[V, 3]` float32 of the field; those of the faces where the field is constant."""
    normals = normals_at(implicit, points, width)
    flat = np.linalg.norm(normals, axis=1) < 0.5
    if flat.any():
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        of_faces, summed = np.cross(b - a, c - a), np.zeros_like(vertices)
        for corner in range(3):
            np.add.at(summed, faces[:, corner], of_faces)
        length = np.linalg.norm(summed, axis=1, keepdims=True)
        summed = np.where(length > 0, summed / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
        normals[flat] = summed[flat]
    return normals


def _box_in_cube(scene: Radiance, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
    """The box to mesh in units of the cube: what was asked for, or that of the occupied cells and one cell around."""
    if box is not None:
        lower, upper = (np.clip((np.asarray(corner) - scene.corner) / scene.side, 0, 1) for corner in box)
        if not (lower < upper).all():
            ends = ",".join(f"{x:.4g}" for x in (*scene.corner, *(scene.corner + scene.side)))
            raise BadInput(
                f"`box={','.join(f'{x:g}' for x in (*box[0], *box[1]))}`: lies outside of the field, which fills {ends}"
            )
        return lower, upper
    cells = scene.cells.cpu().numpy()
    occupied = np.argwhere(cells)
    if not len(occupied):
        raise BadInput("no cell of the field is occupied: it is empty; fit longer, or check the poses")
    count = cells.shape[0]
    return np.maximum((occupied.min(axis=0) - 1) / count, 0.0), np.minimum((occupied.max(axis=0) + 2) / count, 1.0)


def _near_occupied(scene: Radiance, points: np.ndarray) -> np.ndarray:
    """Whether points `[n, 3]` of the cube lie in occupied cells or beside one, `[n]` bool."""
    cells = torch.nn.functional.max_pool3d(scene.cells.float()[None, None], 3, stride=1, padding=1)[0, 0].cpu().numpy()
    count = cells.shape[0]
    index = np.clip((points * count).astype(np.int64), 0, count - 1)
    return cells[tuple(index.T)] > 0


def _range_of(implicit: Implicit, lower: np.ndarray, upper: np.ndarray) -> str:
    """What the distances in a box are, in words."""
    generator = torch.Generator().manual_seed(0)
    points = (
        torch.from_numpy(lower).float()
        + torch.rand(4096, 3, generator=generator) * torch.from_numpy(upper - lower).float()
    )
    values = in_chunks(implicit.function, points.to(implicit.device)) * implicit.side
    low, high = float(values.min()), float(values.max())
    state = "inside" if high < 0 else "outside" if low > 0 else "undecided"
    return f"its distances go from {low:.3g} to {high:.3g}, so all of it is {state}; fit longer, or check the poses"
