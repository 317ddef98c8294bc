"""Write surfaces as meshes: GLB, USDZ, OBJ, PLY, STL, 3MF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fields.export.asset_files import (
    check_writer,
    file_up,
    offset_notes,
    unit_notes,
    write_asset,
    write_collision,
)
from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.export.scene_assets.export import takes_photographs, write_scene_asset
from fields.export.scenes import scene_surface, seen_by_cameras
from fields.export.surfaces import RESOLUTION, box_of, implicit_of, source_shape, unbounded_notes
from fields.export.world import in_world, world_notes
from fields.surface import cost, quality, texture
from fields.surface.coarse_scan import coarse_scan
from fields.surface.implicit import Implicit
from fields.surface.lattice import make_lattice
from fields.surface.placement import FileUp, Placement, placement
from fields.surface.surface_mesh import SurfaceMesh, shell, simplified, surface_mesh
from scenes.errors import BadInput
from scenes.io.atomic import check_path_writable
from scenes.shape.signal import Shape
from scenes.shape.writers.asset import Asset

# Texels along the side of a texture, and largest number of triangles of a mesh with one, unless they are requested.
TEXTURE_SIZE = 2048
TEXTURED_TRIANGLES = 50_000


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write a mesh, and measure it against the field and against the shape that was fitted."""
    check_path_writable(out)
    check_writer(out, request)
    texture_size = _texture_size(request)
    if texture_size and takes_photographs(source, request):
        return write_scene_asset(
            source, out, request, progress, texture_size=texture_size, triangles=_num_triangles(request)
        )
    implicit, mesh = surface_of(source, request, progress)
    report: dict[str, Any] = {
        **quality.topology(mesh),
        "resolution": request.resolution or RESOLUTION,
        "level": implicit.level,
        **quality.against_field(implicit, mesh),
    }
    shape = source_shape(source) if request.level is None and request.box is None else None
    if shape is not None:
        report |= quality.against_source(mesh, shape)
    if request.error_map:
        mesh.colors, scale = quality.error_colors(implicit, mesh, shape)
        report["error_map_white_to_red"] = scale
    if texture_size:
        asset, covered = textured_asset(implicit, mesh, out.stem, texture_size, normal_map=request.normal_map)
        report |= {"texture": texture_size, "texture_covered": round(covered, 3)}
    else:
        positions = implicit.to_file(mesh.vertices)
        asset = Asset(positions, mesh.faces, mesh.normals, colors=mesh.colors, name=out.stem)
    asset = in_world(asset, source.field.domain)
    chosen = placement_of(source, asset, request, file_up=file_up(out))
    if chosen is not None:
        asset = chosen.placed(asset)
    files = write_asset(
        out,
        asset,
        quantize=request.quantize,
        meshopt=request.meshopt,
        texture_format=request.texture_format or "png",
    )
    notes = list(chosen.notes) if chosen is not None else world_notes(source.field.domain)
    notes += [*offset_notes(out, asset.vertices), *unit_notes(out, asset, source.field.domain)]
    # What cameras see may lie outside of the inner cube.
    inner = [] if seen_by_cameras(source, request) else unbounded_notes(source)
    if request.collision:
        collision_file, sentences = write_collision(out, asset, progress)
        files.append(collision_file)
        notes += sentences
    return {
        **report,
        "files": [str(out), *map(str, files)],
        "bytes": out.stat().st_size,
        "text": _text(report),
        "notes": [*mesh.notes, *inner, *_notes(implicit, report, source, shape), *notes],
    }


def surface_of(source: Source, request: ExportRequest, progress: Progress) -> tuple[Implicit, SurfaceMesh]:
    """The requested surface of a field, as a function and as a mesh.

    Of a scene it is what its cameras see; of a scene without cameras, or at a requested density, it is a level set.
    """
    if seen_by_cameras(source, request):
        return scene_surface(source, request, progress, _num_triangles(request))
    implicit = implicit_of(source, request, progress)
    if request.textured and implicit.colors is None and not request.normal_map:
        raise BadInput("`texture`: this field has no colors; `normal_map` bakes its normals")
    return implicit, make_mesh(implicit, request, progress)


def make_mesh(implicit: Implicit, request: ExportRequest, progress: Progress) -> SurfaceMesh:
    """Extract the requested mesh, without small components unless they are to be kept, and simplify it.

    Its expected size is reported first. Raises BadInput if it does not fit in memory.
    """
    resolution = request.resolution or RESOLUTION
    lower, upper = box_of(implicit, request)
    cell = make_lattice(lower, upper, resolution).cell
    scan = coarse_scan(implicit, lower, upper, shell(cell) if implicit.type == "unsigned" else 0.0)
    expected = cost.estimate(scan, resolution, float((upper - lower).max()))
    cost.check(expected, request.memory)
    progress.message(str(expected))
    if request.keep_components:
        implicit = replace(implicit, min_component=0.0)
    mesh = surface_mesh(
        implicit, resolution, lower, upper, largest=request.largest, scan=scan, progress=progress.fraction
    )
    triangles = _num_triangles(request)
    return simplified(implicit, mesh, triangles) if triangles else mesh


def textured_asset(
    implicit: Implicit, mesh: SurfaceMesh, name: str, size: int, *, normal_map: bool
) -> tuple[Asset, float]:
    """A mesh with a texture of `size` x `size` texels, and the fraction of them that charts cover."""
    made = texture.bake_texture(implicit, mesh, size, colors=implicit.colors is not None, normal_map=normal_map)
    asset = Asset(
        implicit.to_file(mesh.vertices)[made.source],
        made.faces,
        mesh.normals[made.source],
        uv=made.uv,
        texture=made.texture,
        normal_map=made.normal_map,
        tangents=made.tangents,
        name=name,
    )
    return asset, made.covered


def placement_of(source: Source, asset: Asset, request: ExportRequest, *, file_up: FileUp) -> Placement | None:
    """Where the mesh shall stand in the file; None where it keeps the source's coordinates."""
    wanted = request.up is not None or request.length is not None or request.units == "metres"
    if not wanted:
        return None
    if request.units == "source":
        raise BadInput("`units=source`: keeps the source's coordinates; leave out `up` and `length`")
    cameras = source.run.cameras() if source.run else []
    return placement(cameras, asset.vertices, up=request.up, size=request.length, file_up=file_up)


def _num_triangles(request: ExportRequest) -> int | None:
    """Largest number of triangles; None: as many as there are."""
    return request.triangles or (TEXTURED_TRIANGLES if request.textured else None)


def _texture_size(request: ExportRequest) -> int | None:
    """Texels along a side; None without a texture."""
    if not request.textured:
        return None
    if request.error_map:
        raise BadInput("`error_map`: is for vertices; leave out `texture` and `normal_map`")
    size = request.texture_size or TEXTURE_SIZE
    if not texture.MIN_SIZE <= size <= texture.MAX_SIZE:
        raise BadInput(f"`texture_size={size}`: should be from {texture.MIN_SIZE} to {texture.MAX_SIZE} pixels")
    return size


def _text(report: dict[str, Any]) -> str:
    closed = "watertight" if report["watertight"] else "open"
    text = (
        f"{report['vertices']:,} vertices, {report['triangles']:,} triangles, {closed}; "
        f"to the field {report['distance_to_field']:.2g} ({report['distance_to_field_cells']:.2g} cells), "
        f"{report['normal_error']:.2g} degrees"
    )
    if "distance_to_source" in report:
        text += (
            f"; to the source {report['distance_to_source']:.2g} and back {report['distance_from_source']:.2g} "
            f"of the longest side, {report['normal_error_to_source']:.2g} degrees"
        )
    return text


def _notes(implicit: Implicit, report: dict[str, Any], source: Source, shape: Shape | None) -> list[str]:
    notes = []
    if implicit.type == "unsigned":
        notes.append("The surface has no inside: both its sides are meshed, a tenth of a cell apart")
    if report["parts"] > 1:
        notes.append(
            f"The mesh has {report['parts']:,} components; the largest has {report['largest_part']:.2%} of the area. "
            "Keep only that one with `largest`"
        )
    if source.field.channels.is_surface and shape is None:
        notes.append("Not compared with the source: it has moved or changed, or only another level or a part is meshed")
    elif shape is not None and "distance_to_source" not in report:
        notes.append(f"Not compared with the source: the mesh has more than {quality.MAX_FACES:,} triangles")
    return notes
