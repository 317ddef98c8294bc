"""Normals of points that have none: planes through neighbours, oriented along a spanning tree (Hoppe et al. 1992).

open3d, which does the same, has 900 MB.
"""

from __future__ import annotations

import numpy as np

# Neighbours through which a plane is fitted, and along which orientations are passed on.
NEIGHBOURS = 16
# Points whose planes are fitted at once.
CHUNK = 1 << 15
# Added to the cost of a step between neighbours, which otherwise is zero on a plane and would be no edge.
MIN_COST = 1e-6


def estimate_normals(points: np.ndarray) -> np.ndarray | None:
    """Unit normals `[n, 3]` of points `[n, 3]`, pointing outwards; None where the points lie on a line.

    Parts of the cloud whose points have no neighbours in other parts are oriented one by one, each so that it has a
    positive volume about its middle.
    """
    from scipy.spatial import KDTree

    count = min(NEIGHBOURS, len(points) - 1)
    neighbours = np.asarray(KDTree(points).query(points, count + 1, workers=-1)[1])
    normals, flatness = np.empty_like(points), np.empty((len(points), 2))
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        near = points[neighbours[part]]
        near = near - near.mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near))
        normals[part], flatness[part] = vectors[:, :, 0], values[:, 1:]
    if not (flatness[:, 0] > 1e-12 * flatness[:, 1]).any():
        return None
    return _oriented(points, normals, neighbours[:, 1:])


def fill_normals(points: np.ndarray, normals: np.ndarray, missing: np.ndarray) -> np.ndarray | None:
    """The normals with the missing ones (a mask `[n]`) estimated, and oriented as the nearest ones that are there."""
    from scipy.spatial import KDTree

    estimated = estimate_normals(points)
    if estimated is None or missing.all():
        return estimated
    filled = normals.copy()
    given = np.flatnonzero(~missing)
    _, nearest = KDTree(points[given]).query(points[missing], workers=-1)
    guide = normals[given[nearest]]
    own = estimated[missing]
    filled[missing] = np.where((own * guide).sum(axis=1, keepdims=True) < 0, -own, own)
    return filled


def _oriented(points: np.ndarray, normals: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    size, width = neighbours.shape
    rows, columns = np.repeat(np.arange(size), width), neighbours.reshape(-1)
    costs = 1 - np.abs(np.einsum("nc,nc->n", normals[rows], normals[columns])) + MIN_COST
    graph = coo_matrix((costs, (rows, columns)), (size, size)).tocsr()
    tree = minimum_spanning_tree(graph.maximum(graph.T)).tocoo()
    parts, label = connected_components(tree, directed=False)
    _, roots = np.unique(label, return_index=True)
    # One more node connects the parts, so that one search goes through all of them.
    edges = np.concatenate([tree.row, np.full(parts, size)]), np.concatenate([tree.col, roots])
    joined = coo_matrix((np.ones(len(edges[0])), edges), (size + 1, size + 1)).tocsr()
    _, parent = breadth_first_order(joined, size, directed=False)
    parent = parent.astype(np.int64)
    parent[size] = size
    turned = np.zeros(size + 1, bool)
    inner = np.flatnonzero(parent[:size] < size)
    turned[inner] = np.einsum("nc,nc->n", normals[inner], normals[parent[inner]]) < 0
    # Whether a normal is turned against its root's is the parity of the turns on its path; paths are halved in length.
    while (parent != size).any():
        turned ^= turned[parent]
        parent = parent[parent]
    normals = np.where(turned[:size, None], -normals, normals)
    sizes = np.bincount(label, minlength=parts)
    middles = np.stack([np.bincount(label, points[:, axis], parts) / sizes for axis in range(3)], axis=1)
    volumes = np.bincount(label, np.einsum("nc,nc->n", points - middles[label], normals), parts)
    return np.where(volumes[label][:, None] < 0, -normals, normals)
