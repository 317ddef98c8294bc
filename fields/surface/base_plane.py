"""Find the plane that an object stands on, such as a table or a turntable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fields.surface.topology import face_areas
from scenes.posed.camera import Camera

# Planes that are tried, each through a random face.
TRIALS = 256
# Largest angle in degrees between the plane's normal and the up direction, and between a face's normal and the plane's.
MAX_TILT = 30.0
MAX_FACE_TILT = 20.0
# Distance of faces that belong to the plane, in cells.
THICKNESS_CELLS = 2.0
# Fraction of the area that the plane must have, and what stands on it.
MIN_PLANE = 0.08
MIN_OBJECT = 0.1
# Fraction of what faces upwards that may lie below the plane: a plate's rim, not another object.
MAX_BELOW = 0.1


class BasePlane(NamedTuple):
    """A plane under an object.

    point: `[3]` on it; normal: unit vector `[3]`, upwards.
    fraction: fraction of the mesh's area that lies in it.
    """

    point: np.ndarray
    normal: np.ndarray
    fraction: float


def up_of(cameras: Sequence[Camera]) -> np.ndarray:
    """Mean up direction `[3]` of cameras, a unit vector."""
    total = np.sum([camera.pose[:, 1] for camera in cameras], axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-12)


def base_plane(vertices: np.ndarray, faces: np.ndarray, up: np.ndarray, cell: float) -> BasePlane | None:
    """The plane with the largest area under a mesh, by RANSAC (Fischler and Bolles 1981); None where there is none.

    up: unit vector `[3]`; cell: usual length of an edge, in units of the vertices.
    """
    areas = face_areas(vertices, faces)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    centres, total = (a + b + c) / 3, areas.sum()
    level = np.flatnonzero(normals @ up > np.cos(np.radians(MAX_TILT)))
    if areas[level].sum() < MIN_PLANE * total:
        return None
    generator = np.random.default_rng(0)
    best, found = 0.0, None
    for seed in generator.choice(level, TRIALS, p=areas[level] / areas[level].sum()):
        near = _members(centres, normals, level, centres[seed], normals[seed], cell)
        if areas[near].sum() > best:
            best, found = float(areas[near].sum()), near
    point, normal = np.zeros(3), up
    for _ in range(3):
        if found is None or not len(found):
            return None
        weights = areas[found, None] / areas[found].sum()
        point = (centres[found] * weights).sum(axis=0)
        spread = centres[found] - point
        normal = np.linalg.eigh((spread * weights).T @ spread)[1][:, 0]
        normal = normal if normal @ up > 0 else -normal
        found = _members(centres, normals, level, point, normal, cell)
    height = (centres - point) @ normal
    thick = THICKNESS_CELLS * cell
    fraction = float(areas[found].sum() / total)
    above = float(areas[height > thick].sum() / total)
    below = float(areas[level][height[level] < -thick].sum() / areas[level].sum())
    if fraction < MIN_PLANE or above < MIN_OBJECT or below > MAX_BELOW or normal @ up < np.cos(np.radians(MAX_TILT)):
        return None
    return BasePlane(point, normal, fraction)


def _members(
    centres: np.ndarray, normals: np.ndarray, level: np.ndarray, point: np.ndarray, normal: np.ndarray, cell: float
) -> np.ndarray:
    """Those of the faces `level` that lie in a plane."""
    near = np.abs((centres[level] - point) @ normal) < THICKNESS_CELLS * cell
    return level[near & (normals[level] @ normal > np.cos(np.radians(MAX_FACE_TILT)))]
