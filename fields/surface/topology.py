"""What holds together, and whether it is closed."""

from __future__ import annotations

import numpy as np


def large_parts(
    vertices: np.ndarray, faces: np.ndarray, least: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and the numbers of the kept vertices of the connected parts with at least the share `least` of the largest one's area;
    with 1 of that one alone."""
    labels, _ = parts(len(vertices), faces)
    of_face = labels[faces[:, 0]]
    area = part_areas(vertices, faces, labels)
    kept = area[of_face] >= least * area.max() if least < 1.0 else of_face == area.argmax()
    used, index = np.unique(faces[kept], return_inverse=True)
    return vertices[used], index.reshape(-1, 3), used


def part_areas(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Of each connected part that has faces and of each that has none (0), in the order of `parts`."""
    labels = parts(len(vertices), faces)[0] if labels is None else labels
    return np.bincount(labels[faces[:, 0]], face_areas(vertices, faces), minlength=labels.max() + 1)


def parts(count: int, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Which connected part each of `count` vertices belongs to, `[count]`, and how many there are."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    a, b = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(count, count)).tocsr()
    number, labels = connected_components(graph, directed=False)
    return labels, number


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def watertight(faces: np.ndarray, count: int) -> bool:
    """Whether every edge has exactly two faces, oriented alike."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    keys = np.sort(edges[:, 0] * np.int64(count) + edges[:, 1])
    back = np.sort(edges[:, 1] * np.int64(count) + edges[:, 0])
    return bool(len(keys) > 0 and (np.diff(keys) > 0).all() and np.array_equal(keys, back))
