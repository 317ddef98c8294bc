"""Connected components of a mesh, and whether it is watertight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LargeComponents:
    """The large connected components of a mesh.

    vertices: `[v, 3]`; faces: `[f, 3]`; used: indices of the vertices in the original mesh, `[v]`.
    num_removed: number of components that were removed.
    removed_fraction: fraction of the original mesh's area that they have.
    """

    vertices: np.ndarray
    faces: np.ndarray
    used: np.ndarray
    num_removed: int
    removed_fraction: float


def large_components(vertices: np.ndarray, faces: np.ndarray, min_area: float = 1.0) -> LargeComponents:
    """Keep the connected components with at least the fraction `min_area` of the largest one's area.

    With 1, exactly one component is kept.
    """
    labels = component_labels(len(vertices), faces)
    areas = component_areas(vertices, faces, labels)
    largest = areas.argmax()
    large = areas >= min_area * areas[largest] if min_area < 1.0 else np.arange(len(areas)) == largest
    used, index = np.unique(faces[large[labels[faces[:, 0]]]], return_inverse=True)
    return LargeComponents(
        vertices=vertices[used],
        faces=index.reshape(-1, 3),
        used=used,
        num_removed=int(np.count_nonzero(~large)),
        removed_fraction=float(areas[~large].sum() / areas.sum()),
    )


def component_areas(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Area of each connected component, in the order of `component_labels`; 0 for a vertex without faces."""
    labels = component_labels(len(vertices), faces) if labels is None else labels
    return np.bincount(labels[faces[:, 0]], face_areas(vertices, faces), minlength=labels.max() + 1)


def component_labels(count: int, faces: np.ndarray) -> np.ndarray:
    """Index of the connected component of each of `count` vertices, `[count]`."""
    import trimesh

    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    return np.asarray(trimesh.graph.connected_component_labels(edges, node_count=count))


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area of each triangle `[f]`."""
    import trimesh

    return np.asarray(trimesh.triangles.area(vertices[faces]))


def watertight(faces: np.ndarray) -> bool:
    """Whether every edge has exactly two faces with opposite directions along it."""
    import trimesh

    closed, consistent = trimesh.graph.is_watertight(trimesh.geometry.faces_to_edges(faces))
    return bool(len(faces) and closed and consistent)


def edge_manifold(faces: np.ndarray) -> bool:
    """Whether no edge has more than two faces, and no two faces have the same direction along an edge."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    # Each direction of an edge appears at most once.
    keys = edges[:, 0] * (int(faces.max(initial=0)) + 1) + edges[:, 1]
    return len(np.unique(keys)) == len(keys)


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume inside a closed mesh; below zero where its faces point inwards."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def select_faces(
    vertices: np.ndarray, faces: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The faces where `kept` `[F]` is true, with only the vertices that they use.

    Returns vertices, faces, and the index of each vertex in the original mesh.
    """
    used, index = np.unique(faces[kept], return_inverse=True)
    return vertices[used], index.reshape(-1, 3).astype(np.int64), used


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices from their faces, weighted by area, `[V, 3]` float64; upwards where there is none."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    of_faces, summed = np.cross(b - a, c - a), np.zeros((len(vertices), 3))
    for axis in range(3):
        for corner in range(3):
            summed[:, axis] += np.bincount(faces[:, corner], of_faces[:, axis], len(vertices))
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.where(length > 0, summed / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
