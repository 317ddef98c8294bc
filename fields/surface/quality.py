"""Measure a mesh against the field it was extracted from, and against the shape that the field was fitted to."""

from __future__ import annotations

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit
from fields.surface.project import gradients, nearest_crossing, to_minimum
from fields.surface.surface_mesh import SurfaceMesh
from fields.surface.topology import component_areas
from scenes.shape.signal import Shape

# Points on the mesh at which distances are measured.
SAMPLES = 100_000
# Beyond this many triangles the search tree for nearest points would take gigabytes.
MAX_FACES = 6_000_000
# Search range along the normal, in cells, where values are no distances. A surface that is not found counts as being
# that far away.
REACH_CELLS = 2.0
# Color scale of error maps, from no error to a large one, sRGB.
WHITE = np.array([0.95, 0.95, 0.95])
RED = np.array([0.80, 0.05, 0.05])
# Quantile of the distances that an error map shows as red.
RED_QUANTILE = 0.99
# Key of the random generator of points on a mesh.
POINTS_KEY = (4, 0x5A)


def against_field(implicit: Implicit, mesh: SurfaceMesh) -> dict[str, float]:
    """Distances to the field's zero set and angles between normals, at points drawn uniformly on the triangles.

    distance_to_field, distance_to_field_99: mean and 99th percentile of the distance, in units of the longest side.
    distance_to_field_cells: the mean in cells.
    normal_error: mean degrees between the mesh's interpolated normals and the field's at the same point.
    """
    positions, normals = sample_area(mesh, SAMPLES)
    distance, found = distances_to_field(implicit, mesh, positions, normals)
    return {
        "distance_to_field": float(distance.mean()),
        "distance_to_field_99": float(np.quantile(distance, 0.99)),
        "distance_to_field_cells": float(distance.mean() / mesh.cell),
        "normal_error": mean_angle(normals, found),
    }


@torch.no_grad()
def distances_to_field(
    implicit: Implicit, mesh: SurfaceMesh, positions: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances `[n]` of positions `[n, 3]` near the surface to it, and the field's unit normals `[n, 3]`; float64.

    normals: normals of the mesh at the positions, `[n, 3]`.

    The distance is |f| / |gradient| where values are distances, else that to the sign change along the normal.
    """
    points = torch.from_numpy(positions).float().to(implicit.device)
    if implicit.type == "unsigned":
        # An unsigned distance has a kink at the surface, and a fitted one is never zero: the distance to the minimum
        # counts, and the gradient is taken a little outside.
        outside = torch.from_numpy(normals).float().to(implicit.device)
        reach = mesh.shell
        away = (to_minimum(implicit.function, points + reach * outside, outside, 2 * reach) - points).norm(dim=-1)
        gradient = gradients(implicit.function, points + reach * outside, mesh.normal_width)
    else:
        gradient = gradients(implicit.function, points, mesh.normal_width)
        if implicit.type == "values":
            found = torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)
            away = nearest_crossing(implicit.function, points, found, REACH_CELLS * mesh.cell)
            return away.cpu().double().numpy(), found.cpu().double().numpy()
        # The slope is taken over half a cell, as a fitted grid is not linear within a cell.
        slope = gradients(implicit.function, points, mesh.cell / 2).norm(dim=-1)
        away = in_chunks(implicit.function, points).abs() / slope.clamp(min=1e-12)
    found = torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)
    return away.cpu().double().numpy(), found.cpu().double().numpy()


def against_source(mesh: SurfaceMesh, shape: Shape) -> dict[str, float]:
    """Compare a mesh with the shape that was fitted; empty if the mesh has too many faces for a search tree.

    distance_to_source, distance_from_source: mean distances from points of one surface to the other surface, in units
        of the source's longest side.
    normal_error_to_source: mean degrees between the mesh's normals and those of the nearest points on the source.
    """
    from scenes.shape.geometry import Mesh
    from scenes.shape.surface import MeshSurface

    if len(mesh.faces) > MAX_FACES:
        return {}
    side = float((shape.box[1] - shape.box[0]).max())
    positions, normals = sample_area(mesh, SAMPLES)
    there, elements, _ = shape.surface.distance(positions, signed=False)
    found = shape.surface.normals(elements)
    if not shape.signed:
        found = np.where((found * normals).sum(axis=1, keepdims=True) < 0, -found, found)
    own = MeshSurface(Mesh(mesh.vertices, mesh.faces))
    back = own.distance(shape.surface_points(SAMPLES)[0], signed=False)[0]
    return {
        "distance_to_source": float(there.mean() / side),
        "distance_from_source": float(back.mean() / side),
        "normal_error_to_source": mean_angle(normals, found),
    }


def error_colors(implicit: Implicit, mesh: SurfaceMesh, shape: Shape | None = None) -> tuple[np.ndarray, float]:
    """Colors of the vertices `[V, 3]`, from white to red by the distance from `shape`, or else from the field.

    Returns also the distance that is shown as red, the 99th percentile, in units of the longest side.
    """
    if shape is not None:
        side = float((shape.box[1] - shape.box[0]).max())
        distance = shape.surface.distance(mesh.vertices, signed=False)[0] / side
    else:
        distance = distances_to_field(implicit, mesh, mesh.vertices, mesh.normals)[0]
    scale = float(max(np.quantile(distance, RED_QUANTILE), 1e-12))
    fraction = np.clip(distance / scale, 0, 1)[:, None]
    return (WHITE + (RED - WHITE) * fraction).astype(np.float32), scale


def mean_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Mean angle in degrees between unit vectors `[n, 3]`."""
    # Exact for small angles too, unlike the arccosine.
    angles = 2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return float(np.degrees(angles).mean())


def topology(mesh: SurfaceMesh) -> dict[str, float]:
    """Numbers of vertices and triangles, whether the mesh is watertight, and its connected components.

    parts: number of components. largest_part: fraction of the area that the largest one has.
    """
    areas = component_areas(mesh.vertices, mesh.faces)
    return {
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.faces),
        "watertight": mesh.watertight,
        "parts": len(areas),
        "largest_part": float(areas.max() / areas.sum()),
    }


def sample_area(mesh: SurfaceMesh, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw points `[n, 3]` uniformly on the triangles, with the interpolated normals there; the same in every call."""
    generator = np.random.Generator(np.random.Philox(key=list(POINTS_KEY)))
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    cumulative = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    del a, b, c
    chosen = mesh.faces[
        np.minimum(np.searchsorted(cumulative, generator.random(samples) * cumulative[-1]), len(cumulative) - 1)
    ]
    r, q = np.sqrt(generator.random(samples)), generator.random(samples)
    weights = np.stack([1 - r, r * (1 - q), r * q], axis=-1)
    normals = np.einsum("nk,nkc->nc", weights, mesh.normals[chosen].astype(np.float64))
    return (
        np.einsum("nk,nkc->nc", weights, mesh.vertices[chosen]),
        normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20),
    )
