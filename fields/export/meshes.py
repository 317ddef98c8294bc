"""Surfaces as meshes: GLB, OBJ, PLY, STL."""

from __future__ import annotations

from pathlib import Path

from fields.export.base import Progress, Source, ending_of
from fields.export.request import ExportRequest
from fields.export.surfaces import RESOLUTION, box_of, implicit_of, notes_of, shape_of
from fields.surface import cost, quality, texture
from fields.surface.coarse_scan import coarse_scan
from fields.surface.implicit import Implicit
from fields.surface.lattice import lattice
from fields.surface.surface_mesh import SurfaceMesh, shell, simplified, surface_mesh
from scenes.errors import BadInput
from scenes.io.atomic import check_path_writable
from scenes.shape.writers.asset import Asset

# Texels along the side of a texture, and the triangles that one is made for, where nothing is said.
TEXTURE, TEXTURED_FACES = 2048, 50_000


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    check_path_writable(out)
    implicit = implicit_of(source, request, progress)
    baked = _texture_size(implicit, request)
    mesh = make(implicit, request, progress)
    report = {
        **quality.topology(mesh),
        "resolution": request.resolution or RESOLUTION,
        "level": implicit.level,
        **quality.against_field(implicit, mesh),
    }
    shape = shape_of(source) if request.level is None and request.crop is None else None
    if shape is not None:
        report |= quality.against_source(implicit, mesh, shape)
    if request.error_map:
        mesh.colors, scale = quality.error_colors(implicit, mesh, shape)
        report["error_map_white_to_red"] = scale
    asset, covered = asset_of(implicit, mesh, out.stem, baked, request)
    if baked:
        report |= {"texture": baked, "texture_covered": round(covered, 3)}
    files = write_asset(out, asset)
    notes = [*mesh.notes, *_notes(implicit, report, source, shape)]
    return {
        **report,
        "files": [str(out), *map(str, files)],
        "bytes": out.stat().st_size,
        "text": _text(report),
        "notes": notes,
    }


def make(implicit: Implicit, request: ExportRequest, progress: Progress) -> SurfaceMesh:
    """The mesh that was asked for; what it will take is said first, and refused where it does not fit."""
    resolution = request.resolution or RESOLUTION
    lower, upper = box_of(implicit, request)
    cells = lattice(lower, upper, resolution)
    shift = shell(cells.cell) if implicit.type == "unsigned" else 0.0
    scan = coarse_scan(implicit, lower, upper, shift)
    expected = cost.estimate(scan, resolution, float((upper - lower).max()))
    cost.check(expected, request.memory)
    progress.message(str(expected))
    mesh = surface_mesh(
        implicit, resolution, lower, upper, largest=bool(request.largest), scan=scan, progress=progress.fraction
    )
    textured = request.texture or request.normal_map
    if faces := request.faces or (TEXTURED_FACES if textured else None):
        mesh = simplified(implicit, mesh, faces)
    return mesh


def _texture_size(implicit: Implicit, request: ExportRequest) -> int | None:
    """Texels along a side; None without a texture."""
    if not (request.texture or request.normal_map):
        return None
    if implicit.colors is None and not request.normal_map:
        raise BadInput("`texture`: this field has no colours; `normal_map` bakes its normals")
    if request.error_map:
        raise BadInput("`error_map`: is for vertices; leave `texture` and `normal_map` away")
    size = request.texture or TEXTURE
    if not texture.SMALLEST <= size <= texture.LARGEST:
        raise BadInput(f"`texture={size}`: should be from {texture.SMALLEST} to {texture.LARGEST} pixels")
    return size


def asset_of(
    implicit: Implicit, mesh: SurfaceMesh, name: str, baked: int | None, request: ExportRequest
) -> tuple[Asset, float]:
    """In the units of the fitted file; and the share of the texture that is in charts."""
    places = implicit.to_file(mesh.vertices)
    if not baked:
        return Asset(places, mesh.faces, mesh.normals, mesh.colors, name=name), 0.0
    made = texture.textured(implicit, mesh, baked, implicit.colors is not None, bool(request.normal_map))
    return Asset(
        places[made.source],
        made.faces,
        mesh.normals[made.source],
        None,
        made.uv,
        made.texture,
        made.normal_map,
        made.tangents,
        name,
    ), made.covered


def write_asset(out: Path, asset: Asset) -> list[Path]:
    """Writes by the ending; returns the files beside it."""
    from scenes.shape.writers import glb, obj, ply, stl

    ending = ending_of(out)
    if ending == ".obj":
        return obj.write_obj(out, asset)
    {".glb": glb.write_glb, ".ply": ply.write_mesh_ply, ".stl": stl.write_stl}[ending](out, asset)
    return []


def _text(report: dict) -> str:
    text = (
        f"{report['vertices']:,} vertices, {report['triangles']:,} triangles, {'watertight' if report['watertight'] else 'open'}; "
        f"to the field {report['distance_to_field']:.2g} ({report['distance_to_field_cells']:.2g} cells), {report['normal_error']:.2g} degrees"
    )
    if "distance_to_source" in report:
        text += (
            f"; to the source {report['distance_to_source']:.2g} and back {report['distance_from_source']:.2g} of the longest side, "
            f"{report['normal_error_to_source']:.2g} degrees"
        )
    return text


def _notes(implicit: Implicit, report: dict, source: Source, shape) -> list[str]:
    notes = notes_of(source)
    if implicit.type == "unsigned":
        notes.append("the surface has no inside: both its sides are meshed, a tenth of a cell apart")
    if report["parts"] > 1:
        notes.append(
            f"{report['parts']} parts, of which the largest has {report['largest_part']:.1%} of the area (`largest` keeps only that)"
        )
    if source.kind == "shape" and shape is None:
        notes.append("not compared with the source: it has moved or changed, or another level or part is meshed")
    elif shape is not None and "distance_to_source" not in report:
        notes.append(f"not compared with the source: the mesh has more than {quality.MAX_FACES:,} triangles")
    return notes
