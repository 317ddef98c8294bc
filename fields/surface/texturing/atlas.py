"""Which texels of a texture belong to which chart of a mesh, and which points of charts are one point of the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields.ops.rasterise import rasterise

# Texels around a chart that bilinear look-ups inside of it reach, and one more.
RIM = 2
# Parts of the surface whose mean colors are compared: at most this many along each side of the texture.
PARTS = 64
# Samples of a seam per texel of its length.
SEAM_SAMPLES = 1.0


@dataclass(frozen=True)
class Atlas:
    """Texels of the charts, numbered row by row from the top, and of a rim around each chart.

    size: texels along the side of the texture.
    number: of each texel `[size, size]` int32; -1 where no chart is near.
    texels: flat indices of the numbered texels, `[U]` int64.
    charts: chart of each numbered texel, `[U]` int32.
    faces: face at the center of each numbered texel, `[U]` int32; -1 in the rims.
    weights: barycentric coordinates of corners 0 and 1 there, `[U, 2]` float32.
    seams: pairs of texture coordinates of the same points on the mesh in two charts, `[K, 2, 2]`.
    """

    size: int
    number: np.ndarray
    texels: np.ndarray
    charts: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    seams: np.ndarray

    @property
    def num_texels(self) -> int:
        """Number of numbered texels."""
        return len(self.texels)

    def parts(self) -> np.ndarray:
        """The square of the texture in which each numbered texel lies, `[U]`, of `PARTS` x `PARTS`."""
        row, column = np.divmod(self.texels, self.size)
        side = -(-self.size // PARTS)
        return (row // side) * PARTS + column // side

    def image(self, values: np.ndarray) -> np.ndarray:
        """Values `[U, C]` of the numbered texels as an image `[size, size, C]` that is zero elsewhere."""
        image = np.zeros((self.size**2, values.shape[1]), values.dtype)
        image[self.texels] = values
        return image.reshape(self.size, self.size, -1)


def make_atlas(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, size: int) -> Atlas:
    """The atlas of a mesh with texture coordinates `[V, 2]`, origin at the lower left, in a texture of `size` texels.

    Vertices `[V, 3]` are split where charts end; copies of a vertex have the same position to the bit.
    """
    chart_of_face = charts_of(faces, len(vertices))
    corners = texel_positions(uv, size)
    flat = np.concatenate([corners + 0.5, np.ones((len(uv), 1))], axis=1).astype(np.float32)
    raster = rasterise(torch.from_numpy(flat), torch.from_numpy(faces), size, size)
    triangles = raster.triangles.numpy()
    labels = np.where(triangles >= 0, chart_of_face[triangles], -1).astype(np.int32)
    for _ in range(RIM):
        labels = _dilated(labels)
    # Triangles thinner than a texel may contain no texel's center, and are looked up all the same.
    taps, _ = bilinear_taps(uv, size)
    chart_of_vertex = np.zeros(len(uv), np.int32)
    chart_of_vertex[faces.reshape(-1)] = np.repeat(chart_of_face, 3)
    for k in range(taps.shape[1]):
        free = labels.reshape(-1)[taps[:, k]] < 0
        labels.reshape(-1)[taps[free, k]] = chart_of_vertex[free]
    texels = np.flatnonzero(labels >= 0)
    number = np.full(size * size, -1, np.int32)
    number[texels] = np.arange(len(texels), dtype=np.int32)
    return Atlas(
        size=size,
        number=number.reshape(size, size),
        texels=texels,
        charts=labels.reshape(-1)[texels],
        faces=triangles.reshape(-1)[texels],
        weights=raster.weights.numpy().reshape(-1, 2)[texels],
        seams=seam_pairs(vertices, faces, uv, size),
    )


def charts_of(faces: np.ndarray, num_vertices: int) -> np.ndarray:
    """The chart of each face, `[F]` int32: faces that share vertices are in one chart."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), bool), ends.T), shape=(num_vertices, num_vertices))
    return connected_components(graph, directed=False)[1][faces[:, 0]].astype(np.int32)


def texel_positions(uv: np.ndarray, size: int) -> np.ndarray:
    """Texture coordinates `[..., 2]` as column and row; the center of a texel has whole numbers."""
    return np.stack([uv[..., 0] * size - 0.5, (1 - uv[..., 1]) * size - 0.5], axis=-1)


def bilinear_taps(uv: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The texels of bilinear look-ups at uv `[N, 2]`: flat indices `[N, 4]` int64 and weights `[N, 4]` float32.

    Beyond the border its texels repeat.
    """
    position = texel_positions(uv, size)
    low = np.floor(position)
    t = (position - low).astype(np.float32)
    low = low.astype(np.int32)
    x0, y0 = (np.clip(low[:, k], 0, size - 1) for k in range(2))
    x1, y1 = (np.clip(low[:, k] + 1, 0, size - 1) for k in range(2))
    taps = np.stack([y0 * size + x0, y0 * size + x1, y1 * size + x0, y1 * size + x1], axis=1)
    right, below = t[:, 0], t[:, 1]
    weights = np.stack([(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below], axis=1)
    return taps, weights


def seam_pairs(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, size: int) -> np.ndarray:
    """Texture coordinates of points on the edges where charts meet, once in each of the two charts: `[K, 2, 2]`."""
    _, same = np.unique(vertices, axis=0, return_inverse=True)
    same = same.reshape(-1)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    welded = same[ends]
    swap = welded[:, 0] > welded[:, 1]
    ends[swap], welded[swap] = ends[swap][:, ::-1], welded[swap][:, ::-1]
    order = np.lexsort((welded[:, 1], welded[:, 0]))
    ends, welded = ends[order], welded[order]
    pair = np.flatnonzero((welded[1:] == welded[:-1]).all(axis=1) & (ends[1:] != ends[:-1]).any(axis=1))
    pair = pair[welded[pair, 0] != welded[pair, 1]]
    first, second = uv[ends[pair]], uv[ends[pair + 1]]
    lengths = [np.linalg.norm((edge[:, 1] - edge[:, 0]) * size, axis=1) for edge in (first, second)]
    count = np.ceil(SEAM_SAMPLES * np.maximum(*lengths)).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(pair)), count)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    t = ((within + 0.5) / count[edge])[:, None]
    return np.stack([side[edge, 0] * (1 - t) + side[edge, 1] * t for side in (first, second)], axis=1)


def _dilated(labels: np.ndarray) -> np.ndarray:
    """Labels `[S, S]` with those of free texels (-1) from a neighbour, if one has a label."""
    result = labels.copy()
    padded = np.pad(labels, 1, constant_values=-1)
    height, width = labels.shape
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
        neighbour = padded[dy : dy + height, dx : dx + width]
        np.copyto(result, neighbour, where=(result < 0) & (neighbour >= 0))
    return result


def interpolated(values: np.ndarray | Tensor, faces: np.ndarray, triangles: np.ndarray, weights: np.ndarray):
    """Values `[V, C]` of vertices at points with barycentric coordinates `[..., 2]` of triangles `[...]`."""
    corners = faces[triangles]
    third = 1 - weights[..., :1] - weights[..., 1:]
    first, second = weights[..., :1] * values[corners[..., 0]], weights[..., 1:] * values[corners[..., 1]]
    return first + second + third * values[corners[..., 2]]
