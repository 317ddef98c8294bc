"""A square texture for a mesh: charts laid out by xatlas, and every texel asked of the field at its own place on the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.surface.implicit import Implicit
from fields.surface.project import colors_at, normals_at, project
from fields.surface.surface_mesh import SurfaceMesh
from scenes.image.color import to_bytes

SMALLEST, LARGEST = 64, 8192
# Texels between charts. Around each, texels repeat the nearest inside one, for bilinear look-ups and small mip levels.
PADDING = 4
# The share of the square that charts usually fill.
USED = 0.6
# Texels of triangles' bounding boxes at once; points asked at once.
CHUNK = 1 << 20
# A texel's place goes back to the field's surface, at most so many cells of the extraction away.
REACH_CELLS = 2.0


@dataclass
class Textured:
    """A mesh whose vertices are split where charts end.

    source `[V]`: each vertex's number in the mesh; faces `[F, 3]`; uv `[V, 2]` with the origin at the lower left; texture and
    normal_map: see `scenes.shape.writers.asset.Asset`; None where they were not asked for. covered: the share of texels in charts.
    """

    source: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    texture: np.ndarray | None
    normal_map: np.ndarray | None
    tangents: np.ndarray | None
    covered: float


def textured(
    implicit: Implicit, mesh: SurfaceMesh, size: int, colors: bool = True, normal_map: bool = False
) -> Textured:
    source, faces, uv = unwrap(mesh, size)
    texels, triangle, weights = rasterise(uv, faces, size)
    corners = faces[triangle]
    places = _blend(weights, mesh.vertices[source], corners)
    if implicit.type != "unsigned":
        # The mesh is flat between its vertices; the colours are those of the surface.
        places = _onto_surface(implicit, places, mesh.cell)
    nearest = _nearest(texels, size)
    picture = bumps = tangents = None
    if colors:
        picture = to_bytes(colors_at(implicit, places))[nearest]
    if normal_map:
        tangents = tangents_of(mesh.vertices[source], faces, uv, mesh.normals[source])
        bumps = _in_tangent_space(implicit, mesh, places, source, corners, weights, tangents)[nearest]
    return Textured(source, faces, uv, picture, bumps, tangents, len(texels) / size**2)


def unwrap(mesh: SurfaceMesh, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Charts in one square of `size` texels: the vertices' numbers `[V]`, faces `[F, 3]` of those, and uv `[V, 2]` in [0, 1]."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), mesh.normals.astype(np.float32))
    charts, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    # One page of whatever size it takes, which then fills ours: laying out again would make the charts again.
    pack.padding, pack.bilinear, pack.resolution = PADDING, True, 0
    pack.texels_per_unit = size * (USED / _area(mesh)) ** 0.5
    atlas.generate(charts, pack)
    source, faces, uv = atlas[0]
    uv = uv.astype(np.float64) * [atlas.width, atlas.height] / max(atlas.width, atlas.height)
    return source.astype(np.int64), faces.astype(np.int64), uv


def rasterise(uv: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which texels have their middle in which triangle: flat numbers `[n]` (row 0 at the top), triangles `[n]`, weights `[n, 3]`.

    Every texel once; where triangles share it, the last wins.
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
    """`[V, 4]`: where u grows, at right angles to the normal, and the sign of the bitangent `cross(normal, tangent)`."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    p, q = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    double = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    safe = np.where(np.abs(double) < 1e-20, 1e-20, double)[:, None]
    along_u = ((b - a) * q[:, 1:] - (c - a) * p[:, 1:]) / safe
    # Charts keep angles, so a mirrored one is mirrored as a whole.
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


def _in_tangent_space(implicit, mesh, places, source, corners, weights, tangents) -> np.ndarray:
    """The field's normals at the texels, in the frame that a renderer interpolates there, as bytes."""
    normals = normals_at(implicit, places, mesh.normal_width).astype(np.float64)
    upright = _unit(_blend(weights, mesh.normals[source].astype(np.float64), corners))
    along = _unit(_blend(weights, tangents[:, :3], corners))
    across = np.cross(upright, along) * tangents[corners[:, 0], 3:]
    parts = np.stack([(normals * axis).sum(axis=1) for axis in (along, across, upright)], axis=1)
    parts[(normals == 0).all(axis=1)] = (0, 0, 1)
    return to_bytes((_unit(parts) * 0.5 + 0.5).astype(np.float32))


def _blend(weights: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    return sum(weights[:, k : k + 1] * values[corners[:, k]] for k in range(3))


def _onto_surface(implicit: Implicit, places: np.ndarray, cell: float) -> np.ndarray:
    result = np.empty_like(places)
    for start in range(0, len(places), CHUNK):
        part = torch.from_numpy(places[start : start + CHUNK]).float().to(implicit.device)
        result[start : start + CHUNK] = (
            project(implicit.function, part, cell / 2, REACH_CELLS * cell, steps=2).cpu().numpy()
        )
    return result


def _nearest(texels: np.ndarray, size: int) -> np.ndarray:
    """For every texel of the picture, the position in `texels` of the nearest one that is in a chart."""
    from scipy.ndimage import distance_transform_edt

    position = np.full(size * size, -1, np.int32)
    position[texels] = np.arange(len(texels))
    row, column = distance_transform_edt(
        (position < 0).reshape(size, size), return_distances=False, return_indices=True
    )
    return position.reshape(size, size)[row, column]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)


def _area(mesh: SurfaceMesh) -> float:
    from fields.surface.topology import face_areas

    return float(face_areas(mesh.vertices, mesh.faces).sum())
