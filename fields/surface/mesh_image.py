"""Images of colored triangle meshes with smooth silhouettes, and how they change when vertices move.

Inside of a face, color is a quotient of functions that are linear in the corners' positions, and is differentiated as
one. What is visible changes in steps, so that says nothing about silhouettes. There, two neighbouring samples have
different colors because an edge of the mesh passes between their centres, at a fraction p of the way. The colors are
blended in proportion to p, which makes the image continuous in the edge's position and gives it a derivative.

Which edges are silhouettes is decided for all edges of the mesh, instead of those of the faces that the two samples
see: those faces may be smaller than a pixel and have no edge there. To count each stretch of an edge once, steep edges
are followed from row to row and flat ones from column to column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.ops.rasterise import rasterise


@dataclass(frozen=True)
class Edges:
    """Edges of a mesh.

    ends: `[E, 2]` int64, vertices.
    faces: `[E, 2]` int64, the two faces of each edge, or a face and -1. Further faces of an edge are left out.
    opposite: `[E]` int64, the corner of the first face that is not on the edge.
    """

    ends: np.ndarray
    faces: np.ndarray
    opposite: np.ndarray


def mesh_edges(faces: np.ndarray) -> Edges:
    """Edges of the faces `[F, 3]`."""
    ends = np.sort(faces[:, [1, 2, 2, 0, 0, 1]].reshape(-1, 2), axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends = ends[order]
    face, corner = order // 3, order % 3
    first = np.ones(len(ends), bool)
    first[1:] = (ends[1:] != ends[:-1]).any(axis=1)
    at = np.flatnonzero(first)
    paired = np.append(~first[1:], False)[at]
    second = np.where(paired, face[np.minimum(at + 1, len(face) - 1)], -1)
    return Edges(ends[at], np.stack([face[at], second], axis=1), faces[face[at], corner[at]])


@dataclass(frozen=True)
class Crossings:
    """Where visible silhouettes pass between two neighbouring samples.

    inside, outside: `[K]` int64, the sample on the side of the edge's surface and the other one.
    coverage: `[K]` float32 in [0, 1], how far from the inner sample to the outer one the edge is.
    edge: `[K]` int64, and ends: `[K, 2]` int64, its vertices.
    pull: `[K, 2, 2]` float32, derivative of `coverage` by x and y of the ends, in samples.
    """

    inside: np.ndarray
    outside: np.ndarray
    coverage: np.ndarray
    edge: np.ndarray
    ends: np.ndarray
    pull: np.ndarray

    @property
    def blended(self) -> np.ndarray:
        """`[K]`, the sample that the edge reaches into: the outer one where it passes beyond the middle."""
        return np.where(self.coverage > 0.5, self.outside, self.inside)


@dataclass(frozen=True)
class MeshImage:
    """A mesh in a camera's image, with `samples` x `samples` samples per pixel.

    size: height and width in pixels.
    positions: `[V, 3]` float32, x and y in samples, and depth.
    covered: `[N]` int64, samples that show a face; corners: `[N, 3]` int64, its vertices; weights: `[N, 3]` float32,
        their weights; face: `[N]` int64.
    crossings: silhouettes.
    """

    size: tuple[int, int]
    samples: int
    positions: np.ndarray
    covered: np.ndarray
    face: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    crossings: Crossings

    @property
    def num_samples(self) -> int:
        """Samples of the whole image."""
        return self.size[0] * self.size[1] * self.samples**2


def mesh_image(
    positions: np.ndarray,
    faces: np.ndarray,
    edges: Edges,
    height: int,
    width: int,
    *,
    samples: int = 1,
    threads: int | None = None,
) -> MeshImage:
    """What an image of `height` x `width` pixels shows of a mesh.

    positions: `[V, 3]` float32, as `fields.render.mesh_projection.project_vertices` gives them.
    samples: per pixel and axis. threads: as in `fields.ops.rasterise`.
    """
    scaled = positions * np.array([samples, samples, 1], np.float32)
    tensors = torch.from_numpy(scaled), torch.from_numpy(faces)
    raster = rasterise(*tensors, height * samples, width * samples, threads=threads)
    triangles = raster.triangles.numpy().reshape(-1)
    covered = np.flatnonzero(triangles >= 0)
    face = triangles[covered].astype(np.int64)
    first = raster.weights.numpy().reshape(-1, 2)[covered]
    weights = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
    crossings = _crossings(scaled, faces, edges, triangles, raster.depth.numpy())
    return MeshImage((height, width), samples, scaled, covered, face, faces[face], weights, crossings)


def sample_colors(image: MeshImage, colors: np.ndarray) -> np.ndarray:
    """Colors of the samples without smooth silhouettes, `[samples, C + 1]` float32: covered ones have 1 at the end.

    colors: `[V, C]` float32.
    """
    values = np.zeros((image.num_samples, colors.shape[1] + 1), np.float32)
    values[image.covered, :-1] = np.einsum("nk,nkc->nc", image.weights, colors[image.corners])
    values[image.covered, -1] = 1
    return values


def pixels_of(image: MeshImage, values: np.ndarray) -> np.ndarray:
    """The image `[H, W, C + 1]` float32 of `sample_colors`: premultiplied color, and coverage.

    Silhouettes are blended, and the samples of each pixel are averaged.
    """
    crossings, difference = image.crossings, _difference(image.crossings, values)
    blended = values.copy()
    np.add.at(blended, crossings.blended, (crossings.coverage - 0.5)[:, None] * difference)
    (height, width), samples = image.size, image.samples
    return blended.reshape(height, samples, width, samples, -1).mean(axis=(1, 3))


def to_samples(image: MeshImage, gradient: np.ndarray) -> np.ndarray:
    """Gradient by the values of the samples `[samples, C + 1]`, of one by the pixels `[H, W, C + 1]`.

    Blending at silhouettes counts as fixed.
    """
    samples = image.samples
    spread = np.repeat(np.repeat(gradient / samples**2, samples, axis=0), samples, axis=1)
    return spread.reshape(image.num_samples, -1)


def face_derivatives(image: MeshImage, values: np.ndarray, colors: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """How the colors of the covered samples change when a corner of their faces moves: `[N, 3 corners, C]` float32.

    values: of `sample_colors`. velocity: `[V, 3]` float32, movement of the vertices in pixels and in depth, per unit of
        what is differentiated by.

    With edge functions e, depths z and a_i = e_i / z_i, the color is C = sum a_i c_i / sum a_i, so that a movement
    changes it by sum a_i' (c_i - C) / sum a_i.
    """
    position, speed = image.positions[image.corners], velocity[image.corners]
    width = image.size[1] * image.samples
    centre = np.stack([image.covered % width, image.covered // width], axis=1).astype(np.float32) + 0.5
    offset, move = position[..., :2] - centre[:, None], speed[..., :2] * image.samples
    inverse_depth = 1 / position[..., 2]
    following, last = offset[:, [1, 2, 0]], offset[:, [2, 0, 1]]
    edges = _cross(following, last) * inverse_depth
    total = edges.sum(axis=1)
    total = np.where(total == 0, np.inf, total)
    contrast = (colors[image.corners] - values[image.covered, None, :-1]) / total[:, None, None]
    after = _cross(last, move) * inverse_depth[:, [1, 2, 0]]
    before = _cross(move, following) * inverse_depth[:, [2, 0, 1]]
    nearer = -edges * speed[..., 2] * inverse_depth
    return (
        after[..., None] * contrast[:, [1, 2, 0]]
        + before[..., None] * contrast[:, [2, 0, 1]]
        + nearer[..., None] * contrast
    )


def silhouette_derivatives(image: MeshImage, values: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """How the colors of the samples `image.crossings.blended` change when an end of the edge moves: `[K, 2, C + 1]`."""
    crossings = image.crossings
    move = velocity[crossings.ends][..., :2] * image.samples
    speed = (crossings.pull * move).sum(axis=-1)
    return speed[..., None] * _difference(crossings, values)[:, None]


def _difference(crossings: Crossings, values: np.ndarray) -> np.ndarray:
    return values[crossings.inside] - values[crossings.outside]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _silhouettes(positions: np.ndarray, faces: np.ndarray, edges: Edges) -> np.ndarray:
    """Indices of edges with one face, or with faces on both sides that are turned oppositely in the image."""
    points = positions[faces]
    # A face that is seen exactly from its edge counts as one that is turned away.
    front = _cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]) > 0
    ahead = np.all(points[..., 2] > 0, axis=1)
    first, second = edges.faces[:, 0], edges.faces[:, 1]
    contour = np.take(front, first) != np.take(front, second)
    return np.flatnonzero(np.take(ahead, first) & ((second < 0) | (contour & np.take(ahead, second))))


def _crossings(
    positions: np.ndarray, faces: np.ndarray, edges: Edges, triangles: np.ndarray, depth: np.ndarray
) -> Crossings:
    chosen = _silhouettes(positions, faces, edges)
    ends = positions[edges.ends[chosen]].astype(np.float64)
    third = positions[edges.opposite[chosen], :2]
    along = ends[:, 1, :2] - ends[:, 0, :2]
    steep = np.abs(along[:, 1]) >= np.abs(along[:, 0])
    # On which side of the edge its surface is, seen along the axis of the samples.
    side = np.sign(_cross(along, third - ends[:, 0, :2])) * np.sign(np.where(steep, along[:, 1], -along[:, 0]))
    parts = [
        _along_axis(chosen[part], ends[part], side[part], axis, triangles, depth)
        for axis, part in ((0, steep & (side != 0)), (1, ~steep & (side != 0)))
    ]
    inside, outside, coverage, edge, pull = (np.concatenate(arrays) for arrays in zip(*parts))
    # A silhouette may pass between two samples several times, back and forth in depth: the outermost time counts.
    pair = 2 * np.minimum(inside, outside) + (np.abs(inside - outside) > 1)
    order = np.lexsort((-coverage, pair))
    kept = order[np.diff(pair[order], prepend=-1) != 0]
    edge = edge[kept]
    return Crossings(inside[kept], outside[kept], coverage[kept], edge, edges.ends[edge], pull[kept])


def _along_axis(
    edges: np.ndarray, ends: np.ndarray, side: np.ndarray, axis: int, triangles: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Crossings of edges with the lines of sample centres along an axis: inside, outside, coverage, edge, pull.

    edges: `[E]`, their indices. ends: `[E, 2, 3]`. side: `[E]`, -1 where the surface is towards larger coordinates of
        the axis, else 1.
    """
    height, width = depth.shape
    lines, size = (height, width) if axis == 0 else (width, height)
    across = ends[..., 1 - axis]
    low = np.clip(np.ceil(across.min(axis=1) - 0.5), 0, lines).astype(np.int64)
    high = np.clip(np.ceil(across.max(axis=1) - 0.5), 0, lines).astype(np.int64)
    counts = np.maximum(high - low, 0)
    edge = np.repeat(np.arange(len(ends)), counts)
    line = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + low[edge]
    start, end, side = ends[edge, 0], ends[edge, 1], side[edge]
    length = end[:, 1 - axis] - start[:, 1 - axis]
    fraction = (line + 0.5 - start[:, 1 - axis]) / length
    slope = (end[:, axis] - start[:, axis]) / length
    at = start[:, axis] + fraction * (end[:, axis] - start[:, axis]) - 0.5
    edge_depth = 1 / ((1 - fraction) / start[:, 2] + fraction / end[:, 2])
    lower = np.floor(at).astype(np.int64)
    inner = np.where(side > 0, lower, lower + 1)
    outer = np.where(side > 0, lower + 1, lower)
    valid = (lower >= 0) & (lower + 1 < size)
    inner, outer, line = inner * valid, outer * valid, line * valid
    inside, outside = (line * width + i if axis == 0 else i * width + line for i in (inner, outer))
    # An edge is seen where its surface is beside it, and what is beyond it lies behind it.
    flat = depth.reshape(-1)
    kept = np.flatnonzero(valid & (triangles[inside] >= 0) & (flat[outside] > edge_depth))
    inside, outside, fraction, slope, side = (a[kept] for a in (inside, outside, fraction, slope, side))
    coverage = np.where(side > 0, at[kept] - lower[kept], lower[kept] + 1 - at[kept])
    pull = np.empty((len(kept), 2, 2), np.float32)
    share = np.stack([1 - fraction, fraction], axis=1) * side[:, None]
    pull[..., axis] = share
    pull[..., 1 - axis] = -share * slope[:, None]
    return inside, outside, coverage.astype(np.float32), edges[edge[kept]], pull
