"""Connected components of a mesh, and whether it is watertight."""

from __future__ import annotations

import numpy as np
import trimesh


def large_components(
    vertices: np.ndarray, faces: np.ndarray, min_area: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the connected components with at least the fraction `min_area` of the largest one's area; with 1 only that one.

    Returns their vertices `[v, 3]`, their faces `[f, 3]`, and which of the given vertices were kept `[v]`.
    """
    labels = component_labels(len(vertices), faces)
    of_face = labels[faces[:, 0]]
    areas = component_areas(vertices, faces, labels)
    kept = areas[of_face] >= min_area * areas.max() if min_area < 1.0 else of_face == areas.argmax()
    used, index = np.unique(faces[kept], return_inverse=True)
    return vertices[used], index.reshape(-1, 3), used


def component_areas(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Area of each connected component, in the order of `component_labels`; 0 for a vertex without faces."""
    labels = component_labels(len(vertices), faces) if labels is None else labels
    return np.bincount(labels[faces[:, 0]], face_areas(vertices, faces), minlength=labels.max() + 1)


def component_labels(count: int, faces: np.ndarray) -> np.ndarray:
    """Index of the connected component of each of `count` vertices, `[count]`."""
    return trimesh.graph.connected_component_labels(faces[:, [0, 1, 1, 2]].reshape(-1, 2), node_count=count)


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area of each triangle `[f]`."""
    return trimesh.triangles.area(vertices[faces])


def watertight(faces: np.ndarray) -> bool:
    """Whether every edge has exactly two faces with opposite directions along it."""
    closed, consistent = trimesh.graph.is_watertight(trimesh.geometry.faces_to_edges(faces))
    return bool(len(faces) and closed and consistent)
