"""Colors of a mesh's vertices from photographs, for files without a texture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.texturing.collect import collect_pixels, collection_notes
from fields.surface.texturing.footprints import MeshInViews
from fields.surface.texturing.gains import level_exposures
from fields.surface.texturing.photo_texture import COLLECT_UNTIL, SOLVE_UNTIL, UNSEEN_PRIOR, Fallback, pixels_psnr
from fields.surface.texturing.rows import vertex_taps, weighted_mean
from fields.surface.texturing.solve import Regularisation, solve_colors
from scenes.errors import BadInput
from scenes.posed.view import View

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Cells along the longest side of the mesh; the mean colors of vertices in one are compared to level exposures.
CELLS = 16
# Rounds in which unseen vertices without a fallback take the mean color of their neighbours.
DIFFUSION_ROUNDS = 200


@dataclass
class PhotoColors:
    """Colors of vertices and how they were made.

    colors: sRGB in [0, 1], `[V, 3]` float32.
    seen: fraction of the vertices that a photograph shows; the others have the fallback's color.
    psnr, gains, pixels, notes: as of `fields.surface.texturing.photo_texture.PhotoTexture`.
    """

    colors: np.ndarray
    seen: float
    psnr: float
    gains: np.ndarray
    pixels: int
    notes: list[str] = field(default_factory=list)


def photo_vertex_colors(
    vertices: np.ndarray,
    faces: np.ndarray,
    views: Sequence[View],
    *,
    fallback: Fallback | None = None,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> PhotoColors:
    """The colors of vertices, interpolated in triangles, that agree best with photographs of a mesh.

    vertices: `[V, 3]` in the scene's units; faces: `[F, 3]`, counter-clockwise from outside. The other arguments and
    the equations are those of `photo_texture`, with barycentric in place of bilinear look-ups.

    Raises BadInput where no pixel of any view shows the mesh.
    """
    began = time.monotonic()
    budget = np.inf if seconds is None else seconds
    collected = collect_pixels(
        MeshInViews.of(vertices, faces),
        views,
        vertex_taps(faces),
        len(vertices),
        deadline=began + COLLECT_UNTIL * budget,
        progress=lambda fraction: progress(0.6 * fraction),
    )
    rows = collected.rows
    if not rows:
        raise BadInput("no photograph shows the mesh: mesh and cameras are not in the same coordinates")
    gains = level_exposures(rows, _cells(vertices), len(views), lambda fraction: progress(0.6 + 0.1 * fraction))
    mean, weight = weighted_mean(rows)
    laplacian = mesh_laplacian(faces, len(vertices))
    seen = weight > 0
    prior = mean.astype(np.float32)
    if fallback is not None and not seen.all():
        prior[~seen] = fallback(vertices[~seen])
    elif not seen.all():
        prior = _diffused(prior, seen, laplacian)
    solution = solve_colors(
        rows,
        prior,
        Regularisation(laplacian, None, np.where(seen, 1, UNSEEN_PRIOR).astype(np.float32)),
        deadline=began + SOLVE_UNTIL * budget,
        progress=lambda fraction: progress(0.7 + 0.3 * fraction),
    )
    colors = np.ascontiguousarray(np.clip(solution.colors, 0, 1))
    return PhotoColors(
        colors=colors,
        seen=float(seen.mean()),
        psnr=pixels_psnr(rows, colors),
        gains=gains,
        pixels=sum(map(len, rows)),
        notes=collection_notes(collected, len(views)),
    )


def mesh_laplacian(faces: np.ndarray, num_vertices: int) -> csr_matrix:
    """The Laplacian of vertices that share an edge: `[V, V]` float32."""
    from scipy.sparse import coo_matrix, csr_matrix, diags

    ends = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    both = np.concatenate([ends, ends[:, ::-1]])
    graph = coo_matrix((np.ones(len(both), np.float32), both.T), shape=(num_vertices, num_vertices)).tocsr()
    return csr_matrix(diags(np.asarray(graph.sum(axis=1)).reshape(-1)) - graph, dtype=np.float32)


def _cells(vertices: np.ndarray) -> np.ndarray:
    """The cell in which each vertex lies, `[V]`, numbered from 0."""
    lower = vertices.min(axis=0)
    side = max(float((vertices.max(axis=0) - lower).max()), 1e-30)
    cells = np.minimum((vertices - lower) / side * CELLS, CELLS - 1).astype(np.int64)
    return np.unique(cells @ np.array([CELLS**2, CELLS, 1]), return_inverse=True)[1].reshape(-1)


def _diffused(colors: np.ndarray, known: np.ndarray, laplacian: csr_matrix) -> np.ndarray:
    """Colors `[V, 3]` in which vertices that are not known have the mean of the known around them."""
    degree = laplacian.diagonal()
    colors = np.where(known[:, None], colors, colors[known].mean(axis=0)).astype(np.float32)
    weight = (1 / np.maximum(degree, 1)).astype(np.float32)[:, None]
    for _ in range(DIFFUSION_ROUNDS):
        colors = np.where(known[:, None], colors, colors - weight * (laplacian @ colors))
    return colors
