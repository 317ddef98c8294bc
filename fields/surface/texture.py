"""Bake a square texture: charts, and the field evaluated at each texel's own point of the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.surface.charts import unwrap
from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.implicit import Implicit
from fields.surface.normal_map import DetailedNormals, bake_normal_map
from fields.surface.padding import fill_unused
from fields.surface.project import colors_at, normals_at, project
from fields.surface.surface_mesh import SurfaceMesh
from fields.surface.tangent_space import interpolated
from fields.surface.texel_raster import rasterize
from scenes.image.color import to_bytes

# Allowed texels along the side.
MIN_SIZE = 64
MAX_SIZE = 8192
# Points that are processed at once.
CHUNK = 1 << 20
# Longest way of a texel's point to the field's surface, in cells of the extraction.
REACH_CELLS = 2.0


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
    vertices = mesh.vertices[source]
    texels, triangle, weights = rasterize(uv, faces, size)
    texture = normals = None
    if colors and implicit.colors is not None:
        positions = _onto_surface(implicit, interpolated(weights, vertices, faces[triangle]), mesh.cell)
        image, covered = np.zeros((size * size, 3), np.uint8), np.zeros(size * size, bool)
        image[texels], covered[texels] = to_bytes(_colors(implicit, positions)), True
        texture = fill_unused(image.reshape(size, size, 3), covered.reshape(size, size))
    if normal_map:
        detailed = _normals_of_field(implicit, mesh.cell, mesh.normal_width)
        normals = bake_normal_map(vertices, faces, uv, mesh.normals[source], size, detailed)
    return TexturedMesh(
        source=source,
        faces=faces,
        uv=uv,
        texture=texture,
        normal_map=normals and normals.texture,
        tangents=normals and normals.tangents,
        covered=len(texels) / size**2,
    )


def _normals_of_field(implicit: Implicit, cell: float, width: float) -> DetailedNormals:
    def at(points: np.ndarray, facing: np.ndarray) -> np.ndarray:
        return normals_at(implicit, _onto_surface(implicit, points, cell), width)

    return at


def _colors(implicit: Implicit, positions: np.ndarray) -> np.ndarray:
    colors = colors_at(implicit, positions)
    assert colors is not None
    return colors


def _onto_surface(implicit: Implicit, positions: np.ndarray, cell: float) -> np.ndarray:
    """Points of the surface beside points `[n, 3]` of the mesh, which is flat between its vertices."""
    if implicit.type == "unsigned":
        return positions
    result = np.empty_like(positions)
    for start in range(0, len(positions), CHUNK):
        part = torch.from_numpy(positions[start : start + CHUNK]).float().to(implicit.device)
        result[start : start + CHUNK] = (
            project(implicit.function, part, cell / 2, REACH_CELLS * cell, steps=2).cpu().numpy()
        )
    return result
