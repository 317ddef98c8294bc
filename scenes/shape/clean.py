"""Repair of meshes and clouds: defects that can be left out are noted, the others are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenes.errors import BadInput
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.thin import thinned

# Largest coordinate; the square of a larger one overflows in float64.
MAX_COORDINATE = 1e100
# Height of a triangle, as a fraction of the shape's longest side, below which it has no usable normal. (trimesh's own
# test has an absolute threshold of 1e-8, which small shapes do not reach.)
MIN_HEIGHT = 1e-12
# Points that a cloud has at least.
MIN_POINTS = 10
# Fraction of the normals that may be missing where the others are kept.
MAX_MISSING_NORMALS = 0.5


def clean_mesh(mesh: Mesh, name: str) -> Mesh:
    """The mesh without duplicate vertices, and without faces that are duplicate, degenerate or not finite.

    `notes` of the result say what was left out. name: what messages call the mesh. Raises BadInput where no face
    remains.
    """
    notes = list(mesh.notes)
    usable = _usable(mesh.vertices)
    faces = np.flatnonzero(usable[mesh.faces].all(axis=1))
    if left_out := len(mesh.faces) - len(faces):
        if not len(faces):
            raise BadInput(
                f"{name}: no face has three usable vertices (the others are NaN, infinite or beyond "
                f"{MAX_COORDINATE:g}); export the file again"
            )
        notes.append(
            f"{left_out} of {len(mesh.faces)} faces have a vertex that is NaN, infinite or too far away, and are left "
            "out"
        )
    vertices, corners = _merged_vertices(np.where(usable[:, None], mesh.vertices, 0), mesh.faces)
    side = _longest_side(vertices[np.unique(corners[faces])])
    solid = faces[_heights(vertices, corners[faces]) > MIN_HEIGHT * side]
    if not len(solid):
        raise BadInput(f"{name}: all {len(mesh.faces)} faces are without area; there is no surface to fit")
    if len(solid) < len(faces):
        notes.append(f"{len(faces) - len(solid)} degenerate faces (without area) are left out")
    _, first = np.unique(np.sort(corners[solid], axis=1), axis=0, return_index=True)
    if len(first) < len(solid):
        notes.append(f"{len(solid) - len(first)} duplicate faces are left out")
        solid = solid[np.sort(first)]
    used, index = np.unique(corners[solid], return_inverse=True)
    return replace(
        mesh,
        vertices=np.ascontiguousarray(vertices[used]),
        faces=index.reshape(-1, 3).astype(np.int64),
        colors=mesh.colors and mesh.colors.subset(solid),
        notes=notes,
    )


def clean_cloud(cloud: Cloud, name: str, max_points: int) -> Cloud:
    """The cloud without duplicate points and points that are not finite, with unit normals.

    A normal that is zero or not finite is NaN; where most are, there are no normals. `notes` of the result say what was
    left out. Raises BadInput where fewer than `MIN_POINTS` points remain.

    Args:
        max_points: of a cloud of more, an even selection is taken.
    """
    notes = list(cloud.notes)
    chosen = np.flatnonzero(_usable(cloud.points))
    left_out = len(cloud.points) - len(chosen)
    if len(chosen) > max_points:
        kept = chosen[thinned(cloud.points[chosen], max_points)]
        notes.append(f"{len(chosen):,} points are thinned evenly to {len(kept):,} (`max_points` takes more)")
        chosen = kept
    _, first = np.unique(cloud.points[chosen] + 0.0, axis=0, return_index=True)
    left_out += len(chosen) - len(first)
    chosen = chosen[np.sort(first)]
    if len(chosen) < MIN_POINTS:
        raise BadInput(
            f"{name}: a point cloud of {len(chosen)} usable, different point{'s' * (len(chosen) != 1)} has no surface; "
            f"at least {MIN_POINTS} are needed"
        )
    if left_out:
        notes.append(f"{left_out} of {len(cloud.points)} points are not finite or duplicate, and are left out")
    result = Cloud(cloud.points[chosen], notes=notes, unit=cloud.unit)
    if cloud.normals is not None:
        normals = cloud.normals[chosen]
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        missing = ~(np.isfinite(lengths) & (lengths > 0))
        if missing.mean() <= MAX_MISSING_NORMALS:
            result.normals = np.where(missing, np.nan, normals / np.where(missing, 1, lengths))
            if missing.any():
                notes.append(f"{int(missing.sum()):,} normals are zero or not finite: estimated from the neighbours")
        else:
            notes.append("most normals are zero or not finite: all normals are estimated")
    if cloud.colors is not None:
        result.colors = np.clip(np.nan_to_num(cloud.colors[chosen]), 0, 1)
    return result


def _usable(points: np.ndarray) -> np.ndarray:
    # Nearly all files have usable points only, which the extremes tell in a tenth of the time; NaN is not below.
    if len(points) and points.min() > -MAX_COORDINATE and points.max() < MAX_COORDINATE:
        return np.ones(len(points), bool)
    return np.all(np.isfinite(points) & (np.abs(points) < MAX_COORDINATE), axis=1)


def _merged_vertices(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[v, 3]` without exact duplicates, and the faces `[F, 3]` with their new indices."""
    # Adding zero turns minus zero into zero, so that equal vertices have equal bits.
    rows = np.ascontiguousarray(vertices + 0.0).view([("", np.float64)] * 3).reshape(-1)
    different, index = np.unique(rows, return_inverse=True)
    return different.view(np.float64).reshape(-1, 3), index[faces]


def _longest_side(points: np.ndarray) -> float:
    return float((points.max(axis=0) - points.min(axis=0)).max())


def _heights(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Height `[F]` of each triangle over its longest edge; 0 where all corners are one point."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    longest = np.sqrt(np.maximum.reduce([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))]))
    doubled_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.divide(doubled_area, longest, out=np.zeros_like(longest), where=longest > 0)
