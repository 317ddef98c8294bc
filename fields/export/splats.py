"""Surfaces and radiance as 3-D Gaussian splats: a PLY with the names, order and activations of the 3DGS format."""

from __future__ import annotations

from pathlib import Path

from fields.export.base import Progress, Source
from fields.export.meshes import make
from fields.export.request import ExportRequest
from fields.export.surfaces import cleared, implicit_of
from fields.surface.radiance import Radiance
from fields.surface.ray_sample_voxels import cameras_around, ray_voxels
from fields.surface.splats import columns, splats_on, splats_seen
from fields.surface.surface_sampling import sample_surface
from fields.surface.topology import face_areas
from scenes.errors import BadInput
from scenes.io.atomic import check_path_writable
from scenes.shape.writers.ply import write_ply

SPLATS = 200_000


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """On a surface, spread evenly."""
    check_path_writable(out)
    implicit = implicit_of(source, request, progress)
    mesh = make(implicit, request, progress)
    positions, normals = sample_surface(implicit, mesh, request.points or SPLATS)
    splats = splats_on(implicit, positions, normals, float(face_areas(mesh.vertices, mesh.faces).sum()))
    write_ply(out, columns(splats, implicit.corner, implicit.side))
    return {
        "splats": len(positions),
        "level": implicit.level,
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": mesh.notes,
        "text": f"{len(positions):,} Gaussians with one colour each",
    }


def write_radiance(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Where the rays of the run's cameras end; of a field alone, those of cameras all around."""
    check_path_writable(out)
    cleared(source, progress)
    scene = Radiance(source.field, request.time or 0.0)
    count = request.points or SPLATS
    cameras = (source.run.cameras() if source.run else []) or cameras_around(scene)
    voxels = ray_voxels(scene, cameras, count)
    if voxels is None:
        raise BadInput("there is nothing to see: no ray of the scene's cameras meets any density")
    splats = splats_seen(scene, voxels)
    notes = (
        []
        if len(splats.positions) > 0.8 * count
        else [f"{count:,} Gaussians would be smaller than the cameras' pixels tell anything of"]
    )
    write_ply(out, columns(splats, scene.corner, scene.side))
    return {
        "splats": len(splats.positions),
        "rays_from": len(cameras),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": notes,
        "text": f"{len(splats.positions):,} Gaussians with the colours of every direction of view, where the rays of {len(cameras)} cameras end",
    }
