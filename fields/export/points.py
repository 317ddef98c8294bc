"""Write surfaces as colored points: PLY with positions, normals and colors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fields.export.base import Progress, Source
from fields.export.meshes import surface_of
from fields.export.request import ExportRequest
from fields.export.surfaces import unbounded_notes
from fields.export.world import world_normals, world_notes, world_positions
from fields.surface.project import colors_at
from fields.surface.quality import distances_to_field
from fields.surface.surface_sampling import sample_surface
from scenes.io.atomic import check_path_writable
from scenes.shape.writers.ply import vertex_columns, write_ply

# Number of points unless it is requested.
NUM_POINTS = 500_000
# Points that the reported distance is the mean of.
MEASURED_POINTS = 100_000


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write points that are spread evenly over the field's own surface."""
    check_path_writable(out)
    implicit, mesh = surface_of(source, request, progress)
    positions, normals = sample_surface(implicit, mesh, request.points or NUM_POINTS)
    colors = colors_at(implicit, positions)
    distances, _ = distances_to_field(implicit, mesh, positions[:MEASURED_POINTS], normals[:MEASURED_POINTS])
    domain = source.field.domain
    placed = world_positions(domain, implicit.to_file(positions))
    write_ply(out, vertex_columns(placed, world_normals(domain, normals), colors), comments=("Field Studio",))
    attributes = "normals" if colors is None else "normals and colors"
    return {
        "points": len(positions),
        "level": implicit.level,
        "distance_to_field": float(distances.mean()),
        "distance_to_field_cells": float(distances.mean() / mesh.cell),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": [*mesh.notes, *unbounded_notes(source), *world_notes(domain)],
        "text": f"{len(positions):,} points with {attributes}; to the field {distances.mean():.2g}",
    }
