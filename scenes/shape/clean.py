"""What is wrong with a shape and can be put right is; what cannot is refused with one line."""

from __future__ import annotations

import numpy as np

from scenes.errors import BadInput
from scenes.shape.geometry import Cloud, Mesh

# Lengths beyond this have no squares in float64.
LARGEST = 1e100
# Triangles whose height is below this share of the shape's longest side have no usable normal.
FLAT = 1e-12
MIN_POINTS = 10


def clean_mesh(mesh: Mesh, name: str) -> Mesh:
    """A mesh whose equal vertices are one and whose faces are all different and have an area; `notes` say what was left out.

    Faces with a vertex that is not a number are left out. BadInput where no surface is left.
    """
    notes = list(mesh.notes)
    usable = np.isfinite(mesh.vertices).all(axis=1) & (np.abs(mesh.vertices) < LARGEST).all(axis=1)
    faces = np.flatnonzero(usable[mesh.faces].all(axis=1))
    if left_out := len(mesh.faces) - len(faces):
        if not len(faces):
            raise BadInput(
                f"{name}: no face has three usable vertices (the others are NaN, infinite or beyond {LARGEST:g}); "
                "export the file again"
            )
        notes.append(
            f"{left_out} of {len(mesh.faces)} faces have a vertex that is NaN, infinite or too far away and are left out"
        )
    vertices = np.where(usable[:, None], mesh.vertices, 0) + 0.0  # (no minus zero: equal places have equal bits)
    different, index = np.unique(vertices.view([("", np.float64)] * 3).reshape(-1), return_inverse=True)
    vertices, corners = different.view(np.float64).reshape(-1, 3), index[mesh.faces]
    side = _longest_side(vertices[np.unique(corners[faces])])
    solid = faces[_heights(vertices, corners[faces]) > FLAT * side]
    if not len(solid):
        raise BadInput(f"{name}: all {len(mesh.faces)} faces are without area; there is no surface to fit")
    if len(solid) < len(faces):
        notes.append(f"{len(faces) - len(solid)} degenerate faces (without area) are left out")
    _, first = np.unique(np.sort(corners[solid], axis=1), axis=0, return_index=True)
    if len(first) < len(solid):
        notes.append(f"{len(solid) - len(first)} duplicate faces are left out")
        solid = solid[np.sort(first)]
    used, index = np.unique(corners[solid], return_inverse=True)
    paint = mesh.paint and mesh.paint.of(solid)
    return Mesh(np.ascontiguousarray(vertices[used]), index.reshape(-1, 3).astype(np.int64), paint, notes)


def clean_cloud(cloud: Cloud, name: str) -> Cloud:
    """A cloud of different, finite points; normals of unit length, or none where one is missing. BadInput where too few are left."""
    notes = list(cloud.notes)
    usable = np.isfinite(cloud.points).all(axis=1) & (np.abs(cloud.points) < LARGEST).all(axis=1)
    _, first = np.unique(cloud.points[usable] + 0.0, axis=0, return_index=True)
    chosen = np.flatnonzero(usable)[np.sort(first)]
    if len(chosen) < MIN_POINTS:
        raise BadInput(
            f"{name}: a point cloud of {len(chosen)} usable, different point{'s' * (len(chosen) != 1)} has no surface; "
            f"at least {MIN_POINTS} are needed"
        )
    if len(chosen) < len(cloud.points):
        notes.append(
            f"{len(cloud.points) - len(chosen)} of {len(cloud.points)} points are not finite or are there twice, and are left out"
        )
    result = Cloud(cloud.points[chosen], notes=notes)
    if cloud.normals is not None:
        normals = cloud.normals[chosen]
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        if np.isfinite(lengths).all() and (lengths > 0).all():
            result.normals = normals / lengths
        else:
            notes.append("some normals are zero or not finite: all are estimated anew")
    if cloud.colors is not None:
        result.colors = np.clip(np.nan_to_num(cloud.colors[chosen]), 0, 1)
    return result


def _longest_side(points: np.ndarray) -> float:
    return float((points.max(axis=0) - points.min(axis=0)).max())


def _heights(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Of each triangle over its longest edge, `[F]`; 0 where all corners are one."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    longest = np.sqrt(np.maximum.reduce([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))]))
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.divide(doubled, longest, out=np.zeros_like(longest), where=longest > 0)
