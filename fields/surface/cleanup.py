"""Remove from a mesh what no camera saw, and small components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fields.surface.topology import component_labels, face_areas, select_faces

# Components with less than this fraction of the area (of what cameras see, where that is known) are removed.
MIN_AREA = 1e-3


@dataclass(frozen=True)
class Cleaned:
    """A mesh without some of its faces.

    vertices: `[V, 3]`; faces: `[F, 3]`; used: index of each vertex in the mesh before.
    removed: number of components, or of faces, that were removed.
    fraction: their fraction of the area.
    """

    vertices: np.ndarray
    faces: np.ndarray
    used: np.ndarray
    removed: int
    fraction: float


def keep_faces(vertices: np.ndarray, faces: np.ndarray, kept: np.ndarray) -> Cleaned:
    """Keep the faces where `kept` `[F]` is true; counts faces."""
    areas = face_areas(vertices, faces)
    return Cleaned(
        *select_faces(vertices, faces, kept),
        removed=int(np.count_nonzero(~kept)),
        fraction=float(areas[~kept].sum() / max(areas.sum(), 1e-300)),
    )


def keep_seen_components(vertices: np.ndarray, faces: np.ndarray, seen: np.ndarray) -> Cleaned:
    """Keep the connected components of which at least one face is seen; counts components. seen: `[F]` bool.

    Unlike `keep_faces`, this opens no holes: it removes shells inside others, and specks in mid-air that no camera saw.
    """
    labels = component_labels(len(vertices), faces)[faces[:, 0]] if len(faces) else np.zeros(0, np.int64)
    return _keep_components(vertices, faces, labels, np.isin(labels, np.unique(labels[seen])))


def keep_large_components(
    vertices: np.ndarray, faces: np.ndarray, min_fraction: float = MIN_AREA, *, seen: np.ndarray | None = None
) -> Cleaned:
    """Keep connected components with at least `min_fraction` of the area; counts components.

    seen: faces whose area counts, `[F]` bool; None: all. At least one component is kept.
    """
    if not len(faces):
        return Cleaned(vertices, faces, np.arange(len(vertices)), 0, 0.0)
    labels = component_labels(len(vertices), faces)[faces[:, 0]]
    counted = face_areas(vertices, faces) * (1.0 if seen is None else seen)
    areas = np.bincount(labels, counted)
    large = areas >= min_fraction * areas.sum()
    large[areas.argmax()] = True
    return _keep_components(vertices, faces, labels, large[labels])


def _keep_components(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, kept: np.ndarray) -> Cleaned:
    cleaned = keep_faces(vertices, faces, kept)
    removed = len(np.unique(labels)) - len(np.unique(labels[kept]))
    return Cleaned(cleaned.vertices, cleaned.faces, cleaned.used, removed, cleaned.fraction)
