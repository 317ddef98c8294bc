"""Write fields as 3-D Gaussian splats: PLY with the names, order and activations of the 3DGS format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from fields.export.base import Progress, Source
from fields.export.meshes import make_mesh
from fields.export.request import ExportRequest
from fields.export.surfaces import implicit_of, remove_floaters
from fields.models.field import RadianceField
from fields.surface.radiance import Radiance
from fields.surface.ray_sample_voxels import cameras_around, ray_voxels
from fields.surface.splats import splat_columns, surface_splats, voxel_splats
from fields.surface.surface_sampling import sample_surface
from fields.surface.topology import face_areas
from scenes.errors import BadInput
from scenes.io.atomic import check_path_writable
from scenes.shape.writers.offset import offset_text, split_offset
from scenes.shape.writers.ply import write_ply

# Number of Gaussians unless it is requested.
SPLATS = 200_000
# Fraction of the requested Gaussians below which a note says why there are fewer.
MIN_FRACTION = 0.8


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write Gaussians that are spread evenly over a surface."""
    check_path_writable(out)
    implicit = implicit_of(source, request, progress)
    mesh = make_mesh(implicit, request, progress)
    positions, normals = sample_surface(implicit, mesh, request.points or SPLATS)
    splats = surface_splats(implicit, positions, normals, float(face_areas(mesh.vertices, mesh.faces).sum()))
    offset, comments, far = _far(out, implicit.to_file(splats.positions))
    write_ply(out, splat_columns(splats, implicit.corner - offset, implicit.side), comments=comments)
    return {
        "splats": len(positions),
        "level": implicit.level,
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": [*mesh.notes, *far],
        "text": f"{len(positions):,} Gaussians with one color each",
    }


def write_radiance(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write Gaussians where light comes from along the rays of the run's cameras.

    A field without cameras is seen by cameras all around it.
    """
    check_path_writable(out)
    remove_floaters(source, progress)
    scene = Radiance(cast(RadianceField, source.field), request.time or 0.0)
    count = request.points or SPLATS
    cameras = (source.run.cameras() if source.run else []) or cameras_around(scene)
    voxels = ray_voxels(scene, cameras, count)
    if voxels is None:
        raise BadInput("there is nothing to see: no ray of the scene's cameras meets any density")
    splats = voxel_splats(scene, voxels)
    found = len(splats.positions)
    offset, comments, notes = _far(out, scene.corner + scene.side * splats.positions)
    write_ply(out, splat_columns(splats, scene.corner - offset, scene.side), comments=comments)
    if found <= MIN_FRACTION * count:
        notes.append(f"Fewer than {count:,} Gaussians: more would be smaller than the detail in the cameras' pixels")
    return {
        "splats": found,
        "rays_from": len(cameras),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": notes,
        "text": f"{found:,} Gaussians with view-dependent color, from the rays of {len(cameras)} cameras",
    }


def _far(out: Path, positions: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """The offset `[3]` that positions far from the origin lose, comments for the file's header, and notes.

    Viewers of splats read float32 only.
    """
    _, offset = split_offset(positions)
    if not offset.any():
        return offset, (), []
    numbers = ",".join(f"{value:.0f}" for value in offset)
    note = f"Far from the origin: {out.name} has its positions relative to {numbers}, which its header names"
    return offset, (offset_text(offset),), [note]
