"""Tangent frames of a textured mesh by the rule that renderers share, and normals in them.

The rule is that of Mikkelsen, "Simulation of Wrinkled Surfaces Revisited" (2008), section 3.6, which glTF names: a
vertex's tangent is the mean of its faces' directions of growing u, each projected perpendicular to the vertex's normal
and weighted by the face's angle there; the bitangent is `w * cross(normal, tangent)`. Between vertices the normal and
the tangent are interpolated linearly and not normalized.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Twice the area of a face in the texture, as a fraction of the square of its longest edge there, below which its
# direction of u is not defined.
MIN_SHAPE = 1e-9


def tangents_of(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Tangents `[V, 4]` of vertices: the unit direction of growing u, and the sign w of the bitangent.

    vertices: `[V, 3]`; faces: `[F, 3]`; uv: `[V, 2]` with v upwards; normals: unit `[V, 3]`.

    The mesh is split where charts end. w is that of the vertex's whole chart, so it is the same at all corners of a
    face. Tangents are perpendicular to the normals; where none is defined, any such direction.
    """
    normals = normals.astype(np.float64)
    a, b, c = (uv[faces[:, k]] for k in range(3))
    p, q = b - a, c - a
    double = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    longest = np.maximum((p * p).sum(axis=1), (q * q).sum(axis=1))
    along_p, along_q = (vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2))
    # The sign makes it the direction of growing u in mirrored faces too.
    along_u = (along_p * q[:, 1:] - along_q * p[:, 1:]) * np.sign(double)[:, None]
    along_u[np.abs(double) <= MIN_SHAPE * longest] = 0
    total = np.zeros((len(vertices), 3))
    for k in range(3):
        corner = faces[:, k]
        normal = normals[corner]
        to_next, to_last = (
            _unit(_across(vertices[faces[:, (k + step) % 3]] - vertices[corner], normal)) for step in (1, 2)
        )
        angle = np.arccos(np.clip((to_next * to_last).sum(axis=1), -1, 1))
        direction = _unit(_across(along_u, normal)) * angle[:, None]
        for axis in range(3):
            total[:, axis] += np.bincount(corner, direction[:, axis], minlength=len(vertices))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    other = _unit(np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)]))
    tangents = np.where(length > 1e-12, total / np.maximum(length, 1e-12), other)
    return np.column_stack([tangents, _signs(len(vertices), faces, double)])


def in_tangent_space(
    wanted: np.ndarray, normals: np.ndarray, tangents: np.ndarray, corners: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Unit vectors `[n, 3]` that a renderer turns into the normals `wanted` `[n, 3]` at points of the mesh.

    normals, tangents: of the vertices, `[V, 3]` and `[V, 4]`. corners, weights: of the points, `[n, 3]`. Where the
    wanted normal is zero, or faces away from the mesh, the result is that of the mesh: (0, 0, 1).
    """
    normal = interpolated(weights, normals.astype(np.float64), corners)
    tangent = interpolated(weights, tangents[:, :3], corners)
    sign = tangents[corners[:, 0], 3:]
    bitangent = sign * np.cross(normal, tangent)
    # Rows of the inverse of the matrix with these columns, times its determinant, which has the sign of w.
    rows = np.cross(bitangent, normal), np.cross(normal, tangent), np.cross(tangent, bitangent)
    parts = sign * np.stack([(row * wanted).sum(axis=1) for row in rows], axis=1)
    parts[parts[:, 2] <= 0] = (0, 0, 1)
    return _unit(parts)


def interpolated(weights: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Values of vertices `[V, c]` at points with the barycentric weights `[n, 3]` of their corners `[n, 3]`."""
    first, second, third = (weights[:, k : k + 1] * values[corners[:, k]] for k in range(3))
    return first + second + third


def _signs(count: int, faces: np.ndarray, double: np.ndarray) -> np.ndarray:
    """1 or -1 for each vertex: the orientation of its chart in the texture, `[count]`."""
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    charts, chart = connected_components(graph, directed=False)
    area = np.bincount(chart[faces[:, 0]], double, minlength=charts)
    return np.where(area < 0, -1.0, 1.0)[chart]


def _across(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
