"""Divide a mesh into charts that a projection along one direction flattens without folds.

Regions start as single faces and grow by merging neighbours, those first whose normals differ least along the longest
common border: the area-weighted spread of normals of variational shape approximation (Cohen-Steiner et al. 2004,
section 3.2), minimized bottom up. All pairs of regions that are each other's best merge at once, so the work is in
arrays.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fields.surface.extract import ProgressCallback, no_progress

# Least cosine between a face's normal and its chart's direction: a projection shrinks no face's area more than this.
MIN_COSINE = 0.5
# The same for the regions below `SLIVER_AREA`, which are worth a stronger shrinking more than a chart of their own.
SLIVER_COSINE = 0.25
# Area of a sliver, as a fraction of the whole mesh's.
SLIVER_AREA = 2e-4
# Faces of less than this fraction of the mean area are too thin for a reliable normal, and hold nothing together.
THIN_AREA = 1e-4


@dataclass(frozen=True)
class FaceAreas:
    """Areas of faces `[F]`, and their unit normals `[F, 3]`, which are zero where the area is."""

    area: np.ndarray
    normal: np.ndarray

    @property
    def solid(self) -> np.ndarray:
        """Whether a face is not a needle or a point, `[F]`."""
        return self.area > THIN_AREA * self.area.mean()

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray) -> FaceAreas:
        """Compute them from vertices `[V, 3]` and faces `[F, 3]`."""
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1)
        return cls(length / 2, cross / np.maximum(length, 1e-300)[:, None])


def manifold_pairs(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of faces `[n]`, `[n]` that share an edge, and the edge's vertices `[n, 2]`.

    Only edges count that have exactly two faces, in opposite directions: charts end at all others, so each chart is a
    surface with a boundary, whatever the mesh is.
    """
    directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.sort(directed, axis=1)
    _, inverse, count = np.unique(
        edges[:, 0] * (faces.max() + 1) + edges[:, 1], return_inverse=True, return_counts=True
    )
    order = np.flatnonzero(count[inverse] == 2)
    order = order[np.argsort(inverse[order], kind="stable")].reshape(-1, 2)
    opposite = (directed[order[:, 0]] == directed[order[:, 1]][:, ::-1]).all(axis=1)
    opposite &= edges[order[:, 0], 0] != edges[order[:, 0], 1]
    order = order[opposite]
    return order[:, 0] // 3, order[:, 1] // 3, edges[order[:, 0]]


def chart_regions(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    end: float = np.inf,
    progress: ProgressCallback = no_progress,
) -> np.ndarray:
    """Index of the chart of each face, `[F]`, from 0 on.

    end: `time.monotonic()` after which charts grow no further: then there are more of them.

    Each chart is connected by edges of two faces (`connected_regions`), and no face of it turns more than `MIN_COSINE`
    from the chart's mean normal; those of small charts may by `SLIVER_COSINE`. Projections of charts may still overlap:
    that of a spiral staircase does.
    """
    merging = _Merging(vertices, faces, end)
    merging.run(MIN_COSINE, np.inf, lambda fraction: progress(0.9 * fraction))
    merging.run(SLIVER_COSINE, SLIVER_AREA * float(merging.shape.area.sum()), lambda f: progress(0.9 + 0.1 * f))
    return connected_regions(faces, merging.label, merging.shape.solid)


def connected_regions(faces: np.ndarray, region: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Divide regions `[F]` into parts that are connected by edges between solid faces; index of the part, `[F]`.

    Other faces join a part of their region that they touch, or become parts of their own.
    """
    first, second, _ = manifold_pairs(faces)
    inside = region[first] == region[second]
    first, second = first[inside], second[inside]
    both = solid[first] & solid[second]
    part = _components(len(faces), first[both], second[both])
    open_ = ~solid
    while True:
        for a, b in ((first, second), (second, first)):
            joins = open_[a] & ~open_[b]
            part[a[joins]] = part[b[joins]]
            open_[a[joins]] = False
            if joins.any():
                break
        else:
            break
    alone = open_[first] & open_[second]
    rest = _components(len(faces), first[alone], second[alone])
    part[open_] = len(faces) + rest[open_]
    return np.unique(part, return_inverse=True)[1]


def _components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


class _Merging:
    """Regions that grow by merging. `label` is the region of each face; a merged region gets a new number."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, end: float) -> None:
        self._end = end
        self.shape = FaceAreas.of(vertices, faces)
        self.count = len(faces)
        self.label = np.arange(self.count)
        self.next = self.count
        # A merge makes one region of two, so there are fewer than twice as many regions as faces.
        self.vector = np.zeros((2 * self.count, 3))
        self.area = np.zeros(2 * self.count)
        self.vector[: self.count] = self.shape.normal * self.shape.area[:, None]
        self.area[: self.count] = self.shape.area
        self._first, self._second, edges = manifold_pairs(faces)
        self._length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)

    def run(self, min_cosine: float, max_area: float, progress: ProgressCallback) -> None:
        """Merge until no pair is left of which the smaller region's area is at most `max_area`."""
        refused = np.zeros(0, np.int64)
        first, second, length = self._first, self._second, self._length
        regions = start = len(np.unique(self.label))
        while time.monotonic() < self._end:
            # The number of regions falls geometrically.
            progress(1 - np.log(max(regions, 1)) / np.log(max(start, 2)))
            p, q = self.label[first], self.label[second]
            apart = p != q
            first, second, length = first[apart], second[apart], length[apart]
            self._first, self._second, self._length = first, second, length
            low, high = np.minimum(p, q)[apart], np.maximum(p, q)[apart]
            pairs, inverse = np.unique(low * (2 * self.count) + high, return_inverse=True)
            border = np.bincount(inverse, length, minlength=len(pairs))
            p, q = pairs // (2 * self.count), pairs % (2 * self.count)
            open_ = ~np.isin(pairs, refused) & (np.minimum(self.area[p], self.area[q]) <= max_area)
            pairs, border, p, q = pairs[open_], border[open_], p[open_], q[open_]
            if not len(pairs):
                break
            chosen = self._best_pairs(p, q, border)
            fits = self._fits(p[chosen], q[chosen], min_cosine)
            refused = np.concatenate([refused, pairs[chosen[~fits]]])
            self._merge(p[chosen[fits]], q[chosen[fits]])
            regions -= int(fits.sum())

    def _best_pairs(self, p: np.ndarray, q: np.ndarray, border: np.ndarray) -> np.ndarray:
        """Pairs of which each is the best of both its regions; no region is in two of them."""
        together = np.linalg.norm(self.vector[p] + self.vector[q], axis=1)
        spread = np.linalg.norm(self.vector[p], axis=1) + np.linalg.norm(self.vector[q], axis=1) - together
        small = np.sqrt(np.minimum(self.area[p], self.area[q]))
        cost = spread / np.maximum(border * small, 1e-300)
        order = np.lexsort((np.arange(len(p)), cost))
        rank = np.empty(len(p), np.int64)
        rank[order] = np.arange(len(p))
        best = np.full(self.next, len(p))
        np.minimum.at(best, p, rank)
        np.minimum.at(best, q, rank)
        return np.flatnonzero((rank == best[p]) & (rank == best[q]))

    def _fits(self, p: np.ndarray, q: np.ndarray, min_cosine: float) -> np.ndarray:
        """Whether all normals of both regions of a pair are near enough to that of the pair."""
        pair = np.full(self.next, -1)
        pair[p] = pair[q] = np.arange(len(p))
        direction = self.vector[p] + self.vector[q]
        length = np.linalg.norm(direction, axis=1, keepdims=True)
        direction = direction / np.maximum(length, 1e-300)
        of_face = pair[self.label]
        faces = np.flatnonzero((of_face >= 0) & self.shape.solid)
        least = np.ones(len(p))
        cosine = np.einsum("nk,nk->n", self.shape.normal[faces], direction[of_face[faces]])
        np.minimum.at(least, of_face[faces], cosine)
        return least >= min_cosine

    def _merge(self, p: np.ndarray, q: np.ndarray) -> None:
        merged = self.next + np.arange(len(p))
        renamed = np.arange(self.next)
        renamed[p] = renamed[q] = merged
        self.vector[merged] = self.vector[p] + self.vector[q]
        self.area[merged] = self.area[p] + self.area[q]
        self.label = renamed[self.label]
        self.next += len(p)
