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
from torch import Tensor

from fields.models.field import RadianceField
from fields.render.sphere_trace import in_chunks
from fields.surface.base_plane import base_plane, up_of
from fields.surface.cleanup import MIN_AREA, Cleaned, keep_faces, keep_large_components, keep_seen_components
from fields.surface.clip import clip
from fields.surface.extract import ProgressCallback, Triangles, extract, no_progress
from fields.surface.fused_depths import MAX_VIEWS, fuse_depths, implicit_depths
from fields.surface.holes import close_holes
from fields.surface.implicit import Implicit
from fields.surface.lattice import make_lattice
from fields.surface.project import normals_at, on_surface
from fields.surface.radiance import Radiance
from fields.surface.simplify import simplify
from fields.surface.topology import face_areas, signed_volume, vertex_normals
from fields.surface.visibility import seen_faces
from scenes.errors import BadInput
from scenes.posed.camera import Camera

# Cells along the longest side.
RESOLUTION = 256
# Largest slope of a fitted signed distance near its surface; away from data it is steeper, and nothing is there.
STEEPNESS = 2.0
# Fraction of the time for the surface itself; the rest is for what follows.
SURFACE_TIME = 0.75
# A trial that tells how long an extraction takes has so many times larger cells. Cells along a side at least.
TRIAL = 4
MIN_RESOLUTION = 64
# Width over which normals are taken, in cells.
NORMAL_CELLS = 1.0
# Longest way of simplified vertices back to the surface, in cells.
REACH_CELLS = 2.0
# Evaluations of a distance after which its extraction is half done, for its progress.
USUAL_EVALUATIONS = 3_000_000
# The base plane is cut off this far above its middle, in cells, beyond its noise.
BASE_CELLS = 2.0
# Vertices of a cap lie this close to the box's border, in cells.
CAP_CELLS = 2e-3
# Cosine between the normals of the field and of the faces below which the field's is not taken.
MIN_AGREEMENT = 0.2
# Removing less than this fraction of the area is not worth a line.
MIN_REPORTED = 5e-4

# Lower and upper corner in units of the scene.
Box = tuple[Sequence[float], Sequence[float]]


@dataclass
class SceneMesh:
    """The surface of a scene as a triangle mesh.

    vertices: `[V, 3]` float64, in units of the scene (those of the poses).
    faces: `[F, 3]` int64, counter-clockwise from outside.
    normals: unit vectors `[V, 3]` float32, outwards.
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
    level: float = 0.0,
    faces: int | None = None,
    min_component: float = MIN_AREA,
    close: bool = False,
    cut_base: bool = False,
    time: float = 0.0,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> SceneMesh:
    """Extract the surface of a scene, clean it, and simplify it.

    cameras: those of the photographs, in units of the scene.
    resolution: cells along the longest side of the box.
    box: part that is meshed; None: the part of the field's cube where something is.
    level: signed distance of the surface, in units of the scene, for fields with a surface.
    faces: largest number of triangles; None: as many as there are.
    min_component: connected components with less than this fraction of the area are removed.
    close: whether holes are closed. A field with a surface then keeps its own where no camera looked, if it belongs to
        a component that one saw, and where a box cuts it; other holes get patches.
    cut_base: whether the plane that the object stands on is cut off, where there is one.
    time: moment of a moving scene, in [0, 1].
    seconds: wall clock of the whole. Where it is short, depth maps get smaller, and the cells of a field with a surface
        larger.
    progress: is called with the fraction done.

    Raises BadInput where there is no surface, and for a box outside of the field.
    """
    begun = clock.perf_counter()
    scene = Radiance(scene_field, time)
    lower, upper = _box_in_cube(scene, box)
    if scene_field.has_surface:
        cells = resolution if seconds is None else _affordable(scene, lower, upper, resolution, SURFACE_TIME * seconds)
        mesh = _distance_surface(scene, lower, upper, cells, level, lambda x: progress(0.6 * x), capped=close)
        if cells < resolution:
            mesh.notes.append(f"The surface has {cells} cells along its longest side, as time was short")
    else:
        bounds = None if box is None else (lower, upper)
        share = None if seconds is None else SURFACE_TIME * seconds
        mesh = _depth_surface(scene, cameras, bounds, resolution, share, lambda x: progress(0.6 * x))
    _remove_unseen(mesh, cameras, lambda x: progress(0.6 + 0.2 * x), components=close and scene_field.has_surface)
    if cut_base:
        _cut_base(mesh, cameras, closed=close)
    _remove_small(mesh, min_component)
    progress(0.82)
    if close:
        _close(mesh)
    progress(0.85)
    if not len(mesh.faces):
        raise BadInput("no camera sees a surface; fit longer, or check the poses")
    if scene_field.has_surface and signed_volume(mesh.vertices, mesh.faces) < 0:
        mesh.notes.append("The surface encloses what is outside: the field's distances have the wrong sign")
    if faces is not None and len(mesh.faces) > faces:
        _simplify(mesh, faces)
    progress(0.97)
    mesh.normals = _normals(mesh)
    mesh.seconds["total"] = clock.perf_counter() - begun
    progress(1.0)
    return mesh


def implicit_distance(scene: Radiance, level: float = 0.0) -> Implicit:
    """The surface of a field with a signed distance, as a function of points of its cube.

    level: distance of the surface, in units of the scene.
    """
    shift = level / scene.side
    return Implicit(
        function=lambda points: scene.field.signed_distance(scene.to_coords(points)) - shift,
        type="distance",
        colors=scene.colors,
        extents=scene.extents,
        corner=scene.corner,
        side=scene.side,
        level=level,
        value_of=lambda value: value * scene.side + level,
        device=scene.device,
    )


def _distance_surface(
    scene: Radiance,
    lower: np.ndarray,
    upper: np.ndarray,
    resolution: int,
    level: float,
    progress: ProgressCallback,
    *,
    capped: bool,
) -> SceneMesh:
    """The zero set of the field's signed distance in occupied cells of the box.

    capped: whether it is closed where the box cuts it.
    """
    begun = clock.perf_counter()
    implicit = implicit_distance(scene, level)
    lattice = make_lattice(lower, upper, resolution)
    found = extract(with_heartbeat(implicit, progress), lattice, steepness=STEEPNESS)
    if not found.crossed:
        raise BadInput(f"the field has no surface here: {_range_of(implicit, lower, upper)}")
    mesh = _new_mesh(implicit, found, lattice.cell)
    kept = _near_occupied(scene, found.vertices[found.faces].mean(axis=1))
    if not kept.all():
        _take(mesh, keep_faces(mesh.vertices, mesh.faces, kept), "empty cells", "surfaces in empty cells")
    if not capped:
        _take(mesh, keep_faces(mesh.vertices, mesh.faces, ~_on_border(mesh, lower, upper)), "border", "")
    mesh.seconds["extraction"] = clock.perf_counter() - begun
    return mesh


def _affordable(scene: Radiance, lower: np.ndarray, upper: np.ndarray, resolution: int, seconds: float) -> int:
    """Cells along the longest side with which the extraction takes at most about so long; at most `resolution`."""
    if resolution <= MIN_RESOLUTION:
        return resolution
    begun = clock.perf_counter()
    extract(implicit_distance(scene), make_lattice(lower, upper, resolution // TRIAL), steepness=STEEPNESS)
    # The time goes with the number of cells that the surface crosses.
    whole = TRIAL**2 * (clock.perf_counter() - begun)
    return int(np.clip(resolution * (seconds / max(whole, 1e-9)) ** 0.5, MIN_RESOLUTION, resolution))


def with_heartbeat(implicit: Implicit, progress: ProgressCallback) -> Implicit:
    """The same surface, whose every evaluation reports progress: a slab of the lattice takes seconds.

    The number of evaluations is not known before, so the fraction nears 1 without reaching it.
    """
    done = 0

    def function(points: Tensor) -> Tensor:
        nonlocal done
        done += len(points)
        progress(done / (done + USUAL_EVALUATIONS))
        return implicit.function(points)

    return replace(implicit, function=function)


def _depth_surface(
    scene: Radiance,
    cameras: Sequence[Camera],
    bounds: tuple[np.ndarray, np.ndarray] | None,
    resolution: int,
    seconds: float | None,
    progress: ProgressCallback,
) -> SceneMesh:
    """The fused depths of a field without a surface."""
    if not cameras:
        raise BadInput("a scene without cameras has no depths to mesh; give a `level` of its density")
    lower, upper = bounds or (None, None)
    fused = fuse_depths(scene, cameras, resolution, lower=lower, upper=upper, seconds=seconds, progress=progress)
    begun = clock.perf_counter()
    mesh = _new_mesh(implicit_depths(scene, fused.volume), fused.volume.triangles(), fused.volume.lattice.cell)
    mesh.seconds = {**fused.seconds, "extraction": clock.perf_counter() - begun}
    if fused.maps < min(fused.views, MAX_VIEWS):
        mesh.notes.append(f"Fused the depths of {fused.maps} of {fused.views} cameras, as time was short")
    if scene.unbounded and bounds is None:
        corners = (scene.corner + scene.side * end for end in (fused.volume.lattice.lower, fused.volume.lattice.upper))
        first, last = (",".join(f"{x:.4g}" for x in corner) for corner in corners)
        mesh.notes.append(f"The scene is unbounded; only what the cameras look at is meshed, from {first} to {last}")
    # A scene without bounds has to have its subject cut out before `neus` holds a surface.
    better = "`reconstruct`" if scene.unbounded else "`method=neus`"
    mesh.notes.append(
        f"The scene was fitted without a surface, so its mesh is rougher than its renders; {better} serves better"
    )
    return mesh


def _new_mesh(implicit: Implicit, found: Triangles, cell: float) -> SceneMesh:
    """A mesh of triangles in units of the cube, without normals."""
    return SceneMesh(
        implicit.to_file(found.vertices), found.faces, np.zeros((0, 3), np.float32), implicit, cell * implicit.side
    )


def _remove_unseen(mesh: SceneMesh, cameras: Sequence[Camera], progress: ProgressCallback, *, components: bool) -> None:
    """Remove what no camera saw: faces, or only whole components."""
    if not cameras or not len(mesh.faces):
        return
    begun = clock.perf_counter()
    seen = seen_faces(mesh.vertices, mesh.faces, cameras, mesh.cell, progress=progress)
    if components:
        cleaned = keep_seen_components(mesh.vertices, mesh.faces, seen)
        _take(mesh, cleaned, "unseen", f"{_components(cleaned.removed)} that no camera saw")
    else:
        _take(mesh, keep_faces(mesh.vertices, mesh.faces, seen), "unseen", "what no camera saw")
    mesh.seconds["visibility"] = clock.perf_counter() - begun


def _remove_small(mesh: SceneMesh, min_component: float) -> None:
    begun = clock.perf_counter()
    cleaned = keep_large_components(mesh.vertices, mesh.faces, min_component)
    _take(mesh, cleaned, "small", _components(cleaned.removed, "small "))
    mesh.seconds["components"] = clock.perf_counter() - begun


def _cut_base(mesh: SceneMesh, cameras: Sequence[Camera], *, closed: bool) -> None:
    """Cut off the plane that the object stands on."""
    begun = clock.perf_counter()
    plane = base_plane(mesh.vertices, mesh.faces, up_of(cameras), mesh.cell) if cameras and len(mesh.faces) else None
    if plane is None:
        mesh.notes.append("No plane to cut off: nothing flat lies under the object")
        return
    before = face_areas(mesh.vertices, mesh.faces).sum()
    point = plane.point + BASE_CELLS * mesh.cell * plane.normal
    mesh.vertices, mesh.faces = clip(mesh.vertices, mesh.faces, point, plane.normal, closed=closed)
    mesh.removed["base"] = float(1 - face_areas(mesh.vertices, mesh.faces).sum() / before)
    mesh.notes.append(f"Cut off the plane under the object ({mesh.removed['base']:.1%} of the area)")
    mesh.seconds["base"] = clock.perf_counter() - begun


def _close(mesh: SceneMesh) -> None:
    """Close all holes."""
    begun = clock.perf_counter()
    closed = close_holes(mesh.vertices, mesh.faces)
    mesh.vertices, mesh.faces = closed.vertices, closed.faces
    if closed.small or closed.large:
        mesh.notes.append(
            f"Closed {closed.small:,} small and {closed.large:,} large hole{'' if closed.large == 1 else 's'} "
            f"({closed.fraction:.1%} of the area is patches)"
        )
    mesh.seconds["holes"] = clock.perf_counter() - begun


def _components(count: int, which: str = "") -> str:
    return f"{count:,} {which}component{'' if count == 1 else 's'}"


def _take(mesh: SceneMesh, cleaned: Cleaned, name: str, what: str) -> None:
    """Replace the mesh by a cleaned one, and note what was removed."""
    mesh.vertices, mesh.faces = cleaned.vertices, cleaned.faces
    mesh.removed[name] = cleaned.fraction
    if what and cleaned.fraction > MIN_REPORTED:
        mesh.notes.append(f"Removed {what} ({cleaned.fraction:.1%} of the area)")


def _simplify(mesh: SceneMesh, faces: int) -> None:
    """Simplify to at most about `faces` triangles, and move the vertices back to the surface."""
    begun = clock.perf_counter()
    vertices, mesh.faces = simplify(mesh.vertices, mesh.faces, faces)
    implicit, cell = mesh.implicit, mesh.cell / mesh.implicit.side
    mesh.vertices = implicit.to_file(on_surface(implicit, implicit.from_file(vertices), cell / 2, REACH_CELLS * cell))
    mesh.seconds["simplification"] = clock.perf_counter() - begun


def _normals(mesh: SceneMesh) -> np.ndarray:
    """Unit normals `[V, 3]` float32 of the field; those of the faces where the field is constant, as on patches."""
    implicit, (vertices, faces) = mesh.implicit, (mesh.vertices, mesh.faces)
    normals = normals_at(implicit, implicit.from_file(vertices), NORMAL_CELLS * mesh.cell / implicit.side)
    of_faces = vertex_normals(vertices, faces)
    # On a patch the field may rise to any side.
    other = (normals * of_faces).sum(axis=1) < MIN_AGREEMENT
    normals[other] = of_faces[other]
    return normals


def _on_border(mesh: SceneMesh, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Which faces are caps, where the border of the box (in units of the cube) cuts the surface off, `[F]` bool."""
    points, near = mesh.implicit.from_file(mesh.vertices), CAP_CELLS * mesh.cell / mesh.implicit.side
    caps = np.zeros(len(mesh.faces), bool)
    for axis in range(3):
        for end in (lower, upper):
            caps |= (np.abs(points[:, axis] - end[axis]) < near)[mesh.faces].all(axis=1)
    return caps


def _box_in_cube(scene: Radiance, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
    """The box to mesh in units of the cube: what was asked for, or that of the occupied cells and one cell around."""
    if box is not None:
        lower, upper = ((np.asarray(corner) - scene.corner) / scene.side for corner in box)
        # The cube of an unbounded scene has no border for what its cameras see.
        if scene.field.has_surface or not scene.unbounded:
            lower, upper = np.clip(lower, 0, 1), np.clip(upper, 0, 1)
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
