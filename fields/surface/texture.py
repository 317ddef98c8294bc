"""Bake a square texture: charts by xatlas, and the field evaluated at each texel's own point of the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.surface.implicit import Implicit
from fields.surface.project import colors_at, normals_at, project
from fields.surface.surface_mesh import SurfaceMesh
from scenes.image.color import to_bytes

# Allowed texels along the side.
MIN_SIZE = 64
MAX_SIZE = 8192
# Texels between charts. They repeat the nearest texel of a chart, for bilinear lookups and small mip levels.
PADDING = 4
# Fraction of the square that charts usually cover.
CHART_FRACTION = 0.6
# Texels of triangles' bounding boxes, and points, that are processed at once.
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
    implicit: Implicit, mesh: SurfaceMesh, size: int, *, colors: bool = True, normal_map: bool = False
) -> TexturedMesh:
    """Unwrap a mesh and bake a texture of `size` x `size` texels.

    colors: whether to bake the field's colors. normal_map: whether to bake its normals in tangent space.
    """
    source, faces, uv = unwrap(mesh, size)
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


def unwrap(mesh: SurfaceMesh, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay out charts in one square of `size` texels.

    Returns the index of each new vertex in the mesh `[V]`, faces `[F, 3]` of new vertices, and uv `[V, 2]` in [0, 1].
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), mesh.normals.astype(np.float32))
    charts, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    # One page of any size, which is scaled to ours: packing again into a given size would compute the charts again.
    pack.padding, pack.bilinear, pack.resolution = PADDING, True, 0
    pack.texels_per_unit = size * (CHART_FRACTION / _area(mesh)) ** 0.5
    atlas.generate(charts, pack)
    source, faces, uv = atlas[0]
    uv = uv.astype(np.float64) * [atlas.width, atlas.height] / max(atlas.width, atlas.height)
    return source.astype(np.int64), faces.astype(np.int64), uv


def rasterize(uv: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the texels whose center a triangle covers, in a square of `size` texels.

    uv: corners `[V, 2]` in [0, 1]; faces: `[F, 3]`.

    Returns flat indices of the texels `[n]` with row 0 at the top, the triangle of each `[n]`, and the barycentric
    weights of its center `[n, 3]`. A texel appears once; where triangles overlap, the last one wins.
    """
    corners = uv[faces] * size
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, size - 1).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5), -1, size - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    count = extent.prod(axis=1)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    double = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    count[np.abs(double) < 1e-12] = 0
    owner, kept = np.full(size * size, -1, np.int64), np.zeros((size * size, 3), np.float32)
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        stop = max(int(np.searchsorted(ends, (ends[start - 1] if start else 0) + CHUNK, side="right")), start + 1)
        part = np.arange(start, stop)
        triangle = np.repeat(part, count[part])
        within = np.arange(len(triangle)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
        x = low[triangle, 0] + within % np.maximum(extent[triangle, 0], 1)
        y = low[triangle, 1] + within // np.maximum(extent[triangle, 0], 1)
        px, py = x + 0.5, y + 0.5
        p, q, r, area = a[triangle], b[triangle], c[triangle], double[triangle]
        first = ((q[:, 0] - px) * (r[:, 1] - py) - (q[:, 1] - py) * (r[:, 0] - px)) / area
        second = ((r[:, 0] - px) * (p[:, 1] - py) - (r[:, 1] - py) * (p[:, 0] - px)) / area
        weights = np.stack([first, second, 1 - first - second], axis=1)
        inside = (weights >= -1e-9).all(axis=1)
        flat = (size - 1 - y[inside]) * size + x[inside]
        owner[flat], kept[flat] = triangle[inside], weights[inside]
        start = stop
    texels = np.flatnonzero(owner >= 0)
    return texels, owner[texels], kept[texels].astype(np.float64)


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


def _area(mesh: SurfaceMesh) -> float:
    from fields.surface.topology import face_areas

    return float(face_areas(mesh.vertices, mesh.faces).sum())
