"""Surfaces as 3-D Gaussian splats: a PLY with the names, order and activations of the 3DGS format."""

from __future__ import annotations

from pathlib import Path

from apps.export.base import Request, Source
from apps.export.meshes import make
from apps.export.surfaces import implicit_of
from fields.surface.scatter import scattered
from fields.surface.splats import columns, splats_on
from fields.surface.topology import face_areas
from scenes.atomic import check_place
from scenes.shapes.writers.ply import write_ply

SPLATS = 200_000


def write(source: Source, out: Path, request: Request) -> dict:
    check_place(out)
    implicit = implicit_of(source, request)
    mesh = make(implicit, request)
    places, normals = scattered(implicit, mesh, request.points or SPLATS)
    splats = splats_on(implicit, places, normals, float(face_areas(mesh.vertices, mesh.faces).sum()))
    write_ply(out, columns(splats, implicit.corner, implicit.side))
    views = "the colours of every direction of view" if implicit.seen_from else "one colour each"
    return {"splats": len(places), "level": implicit.level, "bytes": out.stat().st_size, "files": [str(out)], "notes": mesh.notes,
            "text": f"{len(places):,} Gaussians with {views}"}
