"""Bake a square texture: charts, and the field evaluated at each texel's own point of the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.surface.charts import unwrap
from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.implicit import Implicit
from fields.surface.project import colors_at, normals_at, project
from fields.surface.surface_mesh import SurfaceMesh
from fields.surface.texel_raster import rasterize
from scenes.image.color import to_bytes

# Allowed texels along the side.
MIN_SIZE = 64
MAX_SIZE = 8192
# Points that are processed at once.
CHUNK = 1 << 20
# Longest way of a texel's point to the field's surface, in cells of the extraction.
REACH_CELLS = 2.0

# Tangent, bitangent and normal, `[n, 3]` each.
Frame = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class TexturedMesh:
    """A mesh with a texture. Vertices are split where charts end.

    source: index of each vertex in the original mesh, `[V]`.
    faces: `[F, 3]`.
    uv: texture coordinates `[V, 2]`, with the origin at the lower left.
    texture, normal_map, tangents: see `scenes.shape.writers.asset.Asset`; None if they were not requested.
    covered: fraction of the texels that lie in charts.
    """

    source: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    texture: np.ndarray | None
    normal_map: np.ndarray | None
    tangents: np.ndarray | None
    covered: float


def bake_texture(
    implicit: Implicit,
    mesh: SurfaceMesh,
    size: int,
    *,
    colors: bool = True,
    normal_map: bool = False,
    progress: ProgressCallback = no_progress,
) -> TexturedMesh:
    """Unwrap a mesh and bake a texture of `size` x `size` texels.

    colors: whether to bake the field's colors. normal_map: whether to bake its normals in tangent space.
    """
    charts = unwrap(mesh.vertices, mesh.faces, size, progress=progress)
    source, faces, uv = charts.source, charts.faces, charts.uv
    texels, triangle, weights = rasterize(uv, faces, size)
    corners = faces[triangle]
    positions = _interpolate(weights, mesh.vertices[source], corners)
    if implicit.type != "unsigned":
        # The mesh is flat between its vertices, the surface is not. The colors are those of the surface.
        positions = _onto_surface(implicit, positions, mesh.cell)
    nearest = _nearest(texels, size)
    texture = normals = tangents = None
    if colors and (found := colors_at(implicit, positions)) is not None:
        texture = to_bytes(found)[nearest]
    if normal_map:
        vertex_normals = mesh.normals[source].astype(np.float64)
        tangents = tangents_of(mesh.vertices[source], faces, uv, mesh.normals[source])
        frame = _tangent_frame(vertex_normals, tangents, corners, weights)
        normals = _normals_in_frame(normals_at(implicit, positions, mesh.normal_width), frame)[nearest]
    return TexturedMesh(
        source=source,
        faces=faces,
        uv=uv,
        texture=texture,
        normal_map=normals,
        tangents=tangents,
        covered=len(texels) / size**2,
    )


def tangents_of(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Tangents `[V, 4]` of vertices: the unit direction of growing u, and the sign of the bitangent.

    Tangents are orthogonal to the normals `[V, 3]`. The bitangent is that sign times `cross(normal, tangent)`.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    p, q = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    double = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    safe = np.where(np.abs(double) < 1e-20, 1e-20, double)[:, None]
    along_u = ((b - a) * q[:, 1:] - (c - a) * p[:, 1:]) / safe
    # A chart that is mirrored is mirrored as a whole.
    weights = np.abs(double)[:, None]
    tangents, signs = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for k in range(3):
        np.add.at(tangents, faces[:, k], along_u * weights)
        np.add.at(signs, faces[:, k], double)
    tangents -= (tangents * normals).sum(axis=1, keepdims=True) * normals
    length = np.linalg.norm(tangents, axis=1, keepdims=True)
    other = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    tangents = np.where(
        length > 1e-12,
        tangents / np.maximum(length, 1e-12),
        other / np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-12),
    )
    return np.concatenate([tangents, np.where(signs < 0, -1.0, 1.0)[:, None]], axis=1)


def _tangent_frame(normals: np.ndarray, tangents: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> Frame:
    """Tangent, bitangent and normal at texels, as a renderer interpolates them.

    normals, tangents: of the vertices, `[V, 3]` and `[V, 4]`. corners, weights: of the texels, `[n, 3]`.
    """
    normal = _unit(_interpolate(weights, normals, corners))
    tangent = _unit(_interpolate(weights, tangents[:, :3], corners))
    return tangent, np.cross(normal, tangent) * tangents[corners[:, 0], 3:], normal


def _normals_in_frame(normals: np.ndarray, frame: Frame) -> np.ndarray:
    """Normals `[n, 3]` in tangent frames as colors, uint8; a normal of zero becomes that of the frame."""
    normals = normals.astype(np.float64)
    parts = np.stack([(normals * axis).sum(axis=1) for axis in frame], axis=1)
    parts[(normals == 0).all(axis=1)] = (0, 0, 1)
    return to_bytes((_unit(parts) * 0.5 + 0.5).astype(np.float32))


def _interpolate(weights: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Values of vertices `[V, c]` at points with the barycentric weights `[n, 3]` of their corners `[n, 3]`."""
    first, second, third = (weights[:, k : k + 1] * values[corners[:, k]] for k in range(3))
    return first + second + third


def _onto_surface(implicit: Implicit, positions: np.ndarray, cell: float) -> np.ndarray:
    result = np.empty_like(positions)
    for start in range(0, len(positions), CHUNK):
        part = torch.from_numpy(positions[start : start + CHUNK]).float().to(implicit.device)
        result[start : start + CHUNK] = (
            project(implicit.function, part, cell / 2, REACH_CELLS * cell, steps=2).cpu().numpy()
        )
    return result


def _nearest(texels: np.ndarray, size: int) -> np.ndarray:
    """For every texel of the square, the index in `texels` of the nearest texel of a chart, `[size, size]`."""
    from scipy.ndimage import distance_transform_edt

    position = np.full(size * size, -1, np.int32)
    position[texels] = np.arange(len(texels))
    outside = (position < 0).reshape(size, size)
    nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)
    row, column = np.asarray(nearest)
    return position.reshape(size, size)[row, column]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
