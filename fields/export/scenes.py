"""The surface of a scene to export: what the cameras of its run see."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.export.surfaces import RESOLUTION, box_of, remove_floaters
from fields.models.field import RadianceField
from fields.surface import cost
from fields.surface.cleanup import MIN_AREA
from fields.surface.implicit import Implicit
from fields.surface.lattice import check_resolution
from fields.surface.project import colors_at
from fields.surface.radiance import Radiance
from fields.surface.scene_mesh import implicit_distance, scene_mesh
from fields.surface.surface_mesh import SurfaceMesh, removal_note, simplified
from fields.surface.topology import large_components


def seen_by_cameras(source: Source, request: ExportRequest) -> bool:
    """Whether the surface is what cameras see: of a scene that has some, unless a level of density is requested."""
    field = source.field
    if not isinstance(field, RadianceField) or source.run is None or not source.run.cameras():
        return False
    return request.level is None or field.has_surface


def scene_surface(
    source: Source, request: ExportRequest, progress: Progress, faces: int | None
) -> tuple[Implicit, SurfaceMesh]:
    """The surface of a scene with cameras, as a function and as a mesh with at most `faces` triangles; None: as many
    as there are.

    Raises BadInput where no camera sees a surface, for a `box` outside of the field, and where memory is short.
    """
    field = cast(RadianceField, source.field)
    resolution = request.resolution or RESOLUTION
    check_resolution(resolution)
    cost.check(cost.estimate_scene(resolution, dense=not field.has_surface), request.memory)
    remove_floaters(source, progress)
    box = None
    if request.box is not None:
        cube = implicit_distance(Radiance(field))
        lower, upper = box_of(cube, request)
        box = cube.to_file(lower).tolist(), cube.to_file(upper).tolist()
    cameras = source.stored_run.cameras()
    how = "the field's own surface" if field.has_surface else f"the depths that {len(cameras)} cameras see"
    progress.message(f"{resolution} cells: {how}")
    mesh = scene_mesh(
        field,
        cameras,
        resolution=resolution,
        box=box,
        level=request.level or 0.0,
        min_component=0.0 if request.keep_components else MIN_AREA,
        time=request.time or 0.0,
        progress=progress.fraction,
    )
    implicit = mesh.implicit
    found = SurfaceMesh(
        implicit.from_file(mesh.vertices), mesh.faces, mesh.normals, None, mesh.cell / implicit.side, notes=mesh.notes
    )
    if faces and len(found.faces) > faces:
        found = simplified(implicit, found, faces)
    if request.largest:
        # Simplification may tear off what hangs on a few faces, so this comes after it.
        found = largest_component(found)
    return implicit, replace(found, colors=colors_at(implicit, found.vertices))


def largest_component(mesh: SurfaceMesh) -> SurfaceMesh:
    """The mesh without all components but the largest, with a note."""
    kept = large_components(mesh.vertices, mesh.faces)
    notes = [*mesh.notes, removal_note(kept, small=False)] if kept.num_removed else mesh.notes
    return replace(mesh, vertices=kept.vertices, faces=kept.faces, normals=mesh.normals[kept.used], notes=notes)
