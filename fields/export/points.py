"""Surfaces as coloured points: PLY with places, normals and colours."""

from __future__ import annotations

from pathlib import Path

from fields.export.base import Progress, Source
from fields.export.meshes import make
from fields.export.request import ExportRequest
from fields.export.surfaces import implicit_of, notes_of
from fields.surface.project import colors_at
from fields.surface.quality import distances_to_field
from fields.surface.surface_sampling import scattered
from scenes.io.atomic import check_path_writable
from scenes.shape.writers.ply import columns_of, write_ply

POINTS = 500_000
# Points that the report's distances are the mean of.
MEASURED = 100_000


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Spread evenly over the surface: drawn on a mesh, then moved onto the field's own surface."""
    check_path_writable(out)
    implicit = implicit_of(source, request, progress)
    mesh = make(implicit, request, progress)
    places, normals = scattered(implicit, mesh, request.points or POINTS)
    colors = colors_at(implicit, places)
    distance = distances_to_field(implicit, mesh, places[:MEASURED], normals[:MEASURED])[0]
    write_ply(out, columns_of(implicit.to_file(places), normals, colors), comments=("Field Studio",))
    report = {
        "points": len(places),
        "level": implicit.level,
        "distance_to_field": float(distance.mean()),
        "distance_to_field_cells": float(distance.mean() / mesh.cell),
    }
    colored = "" if colors is None else " and colours"
    return {
        **report,
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": [*mesh.notes, *notes_of(source)],
        "text": f"{len(places):,} points with normals{colored}; to the field {report['distance_to_field']:.2g}",
    }
