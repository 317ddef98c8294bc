"""How far a mesh is from the field that it was made from, and from the file that the field was fitted to."""

from __future__ import annotations

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit
from fields.surface.project import gradients, nearest_crossing, to_least
from fields.surface.surface_mesh import SurfaceMesh
from fields.surface.topology import component_areas

SAMPLES = 100_000
# Beyond this many triangles the tree that nearest points are found by would take gigabytes.
MAX_FACES = 6_000_000
# Where values are no distances, the surface is looked for this far along the normal; what is not found counts as that far.
REACH_CELLS = 2.0
WHITE, RED = np.array([0.95, 0.95, 0.95]), np.array([0.80, 0.05, 0.05])


def against_field(implicit: Implicit, mesh: SurfaceMesh, samples: int = SAMPLES) -> dict:
    """From places spread over the triangles: distances to the field's zero set, and angles between normals.

    distance_to_field: mean and 99th percentile in units of the longest side, |f| / |gradient|; `..._cells` the same in cells.
    normal_error: mean degrees between the mesh's interpolated normals and the field's at the same place.
    """
    places, normals = spread(mesh, samples)
    distance, found = distances_to_field(implicit, mesh, places, normals)
    angle = np.degrees(2 * np.arctan2(np.linalg.norm(normals - found, axis=1), np.linalg.norm(normals + found, axis=1)))
    return {
        "distance_to_field": float(distance.mean()),
        "distance_to_field_99": float(np.quantile(distance, 0.99)),
        "distance_to_field_cells": float(distance.mean() / mesh.cell),
        "normal_error": float(angle.mean()),
    }


@torch.no_grad()
def distances_to_field(
    implicit: Implicit, mesh: SurfaceMesh, places: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of places near the surface, where the mesh has `normals`: distance `[n]` to it and its own unit normals `[n, 3]`, in float64."""
    points = torch.from_numpy(places).float().to(implicit.device)
    if implicit.type == "unsigned":
        # Its values have a kink at the surface and a fitted one's are never zero: the way to the least value counts, and the
        # gradient a little outside.
        outside = torch.from_numpy(normals).float().to(implicit.device)
        reach = mesh.shell
        away = (to_least(implicit.function, points + reach * outside, outside, 2 * reach) - points).norm(dim=-1)
        gradient = gradients(implicit.function, points + reach * outside, mesh.normal_width)
    else:
        gradient = gradients(implicit.function, points, mesh.normal_width)
        if implicit.type == "values":
            found = torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)
            away = nearest_crossing(implicit.function, points, found, REACH_CELLS * mesh.cell)
            return away.cpu().double().numpy(), found.cpu().double().numpy()
        # The slope over half a cell, as the values of a fitted grid are bent within one.
        slope = gradients(implicit.function, points, mesh.cell / 2).norm(dim=-1)
        away = in_chunks(implicit.function, points).abs() / slope.clamp(min=1e-12)
    found = torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)
    return away.cpu().double().numpy(), found.cpu().double().numpy()


def against_source(implicit: Implicit, mesh: SurfaceMesh, shape, samples: int = SAMPLES) -> dict:
    """Mean point-to-surface distances both ways, in units of the longest side of the source's bounding box, and the angle of normals.

    shape: the `scenes.shape.signal.Shape` that was fitted. Empty where the mesh has too many faces for a tree.
    """
    from scenes.shape.geometry import Mesh
    from scenes.shape.surface import MeshSurface

    if len(mesh.faces) > MAX_FACES:
        return {}
    side = float((shape.box[1] - shape.box[0]).max())
    places, normals = spread(mesh, samples)
    there, numbers, nearest = shape.surface.distance(places, signed=False)
    found = shape.surface.normals(numbers, nearest)
    if not shape.signed:
        found = np.where((found * normals).sum(axis=1, keepdims=True) < 0, -found, found)
    angle = np.degrees(2 * np.arctan2(np.linalg.norm(normals - found, axis=1), np.linalg.norm(normals + found, axis=1)))
    own = MeshSurface(Mesh(mesh.vertices, mesh.faces))
    back = own.distance(shape.surface_points(samples)[0], signed=False)[0]
    return {
        "distance_to_source": float(there.mean() / side),
        "distance_from_source": float(back.mean() / side),
        "normal_error_to_source": float(angle.mean()),
    }


def error_colors(implicit: Implicit, mesh: SurfaceMesh, shape=None) -> tuple[np.ndarray, float]:
    """Colours `[V, 3]` by how far each vertex is from the source (from the field, where there is no source), white to red.

    The distance that is red, in units of the longest side, is returned too: the 99th percentile.
    """
    if shape is not None:
        side = float((shape.box[1] - shape.box[0]).max())
        distance = shape.surface.distance(mesh.vertices, signed=False)[0] / side
    else:
        distance = distances_to_field(implicit, mesh, mesh.vertices, mesh.normals)[0]
    scale = float(max(np.quantile(distance, 0.99), 1e-12))
    share = np.clip(distance / scale, 0, 1)[:, None]
    return (WHITE + (RED - WHITE) * share).astype(np.float32), scale


def topology(mesh: SurfaceMesh) -> dict:
    """vertices, triangles, watertight, parts (connected ones) and the share of the area that the largest of them has."""
    areas = component_areas(mesh.vertices, mesh.faces)
    return {
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.faces),
        "watertight": mesh.watertight,
        "parts": len(areas),
        "largest_part": float(areas.max() / areas.sum()),
    }


def spread(mesh: SurfaceMesh, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Places `[n, 3]` on the triangles, evenly by area, and the interpolated normals there; always the same ones."""
    generator = np.random.Generator(np.random.Philox(key=[4, 0x5A]))
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
