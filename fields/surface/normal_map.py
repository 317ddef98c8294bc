"""Bake a normal map: what the normals of a detailed surface are in the tangent frames of a simplified mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fields.surface.padding import fill_unused
from fields.surface.tangent_space import in_tangent_space, interpolated, tangents_of
from fields.surface.texel_raster import rasterize
from scenes.image.color import to_bytes

# Mean angle in degrees between the mesh's normals and those of the surface from which on a normal map is worth it.
WORTHWHILE_ANGLE = 5.0
# Texels that are processed at once.
CHUNK = 1 << 18
# Vertices of the detailed mesh that make the normal of a point.
NEIGHBOURS = 4

# Unit normals `[n, 3]` of the detailed surface at points `[n, 3]` of the mesh with its normals `[n, 3]` there; zero
# where the surface has none.
DetailedNormals = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class NormalMap:
    """Normals of a surface in the tangent frames of a mesh.

    texture: uint8 `[size, size, 3]` with row 0 at the top; x, y, z in [-1, 1] become 0 to 255.
    tangents: `[V, 4]` of the mesh's vertices (`fields.surface.tangent_space.tangents_of`).
    angle: mean angle in degrees, over the surface, between the mesh's interpolated normals and the baked ones.
    """

    texture: np.ndarray
    tangents: np.ndarray
    angle: float

    @property
    def worthwhile(self) -> bool:
        """Whether the mesh lost enough detail for a map: a file without one is smaller and looks the same."""
        return self.angle > WORTHWHILE_ANGLE


def bake_normal_map(
    vertices: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray,
    normals: np.ndarray,
    size: int,
    detailed: DetailedNormals,
) -> NormalMap:
    """Bake the normals of a detailed surface for a mesh with a layout of charts.

    vertices, normals: `[V, 3]`; faces: `[F, 3]`; uv: `[V, 2]`, as `fields.surface.charts.unwrap` splits them.
    size: texels along a side. detailed: for a mesh, `normals_of_mesh`; for a field, its gradients.
    """
    tangents = tangents_of(vertices, faces, uv, normals)
    texels, triangle, weights = rasterize(uv, faces, size)
    parts = np.zeros((len(texels), 3), np.float32)
    angles = np.zeros(len(texels), np.float32)
    for start in range(0, len(texels), CHUNK):
        part = slice(start, start + CHUNK)
        corners = faces[triangle[part]]
        own = interpolated(weights[part], normals.astype(np.float64), corners)
        own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-20)
        wanted = detailed(interpolated(weights[part], vertices, corners), own).astype(np.float64)
        parts[part] = in_tangent_space(wanted, normals, tangents, corners, weights[part])
        known = (wanted != 0).any(axis=1)
        cosine = np.where(known, (own * wanted).sum(axis=1), 1.0)
        angles[part] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    image = np.zeros((size * size, 3), np.float32)
    image[texels] = parts
    covered = np.zeros(size * size, bool)
    covered[texels] = True
    filled = fill_unused(image.reshape(size, size, 3), covered.reshape(size, size))
    filled /= np.maximum(np.linalg.norm(filled, axis=2, keepdims=True), 1e-20)
    return NormalMap(to_bytes(filled * 0.5 + 0.5), tangents, float(angles.mean()) if len(angles) else 0.0)


def normals_of_mesh(vertices: np.ndarray, normals: np.ndarray) -> DetailedNormals:
    """Normals of a full-resolution mesh at points of a simplified one.

    vertices, normals: of the full-resolution mesh, `[V, 3]`.

    A point's normal is the mean of the nearest vertices' by inverse squared distance, of those that face the same way:
    the other side of a thin wall may be nearer. Its error is below the mesh's own spacing, and it takes a tenth of the
    time of the nearest points on the triangles.
    """
    from scipy.spatial import KDTree

    tree = KDTree(vertices)
    count = min(NEIGHBOURS, len(vertices))

    def at(points: np.ndarray, facing: np.ndarray) -> np.ndarray:
        distance, index = tree.query(points, k=count)
        # One neighbour comes without an axis for neighbours.
        distance, index = (np.asarray(part).reshape(len(points), count) for part in (distance, index))
        found = normals[index].astype(np.float64)
        same_side = np.einsum("nkc,nc->nk", found, facing) > 0
        weight = same_side / np.maximum(distance, 1e-12) ** 2
        mean = (found * weight[..., None]).sum(axis=1)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        return np.where(length > 0, mean / np.maximum(length, 1e-300), 0.0)

    return at
