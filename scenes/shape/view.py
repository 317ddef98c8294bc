"""Where a shape is looked at from when nobody says, and a picture of the file itself from there. Numpy only."""

from __future__ import annotations

import numpy as np

# Degrees around and above, in unit cubes from the middle, and the angle that the picture's shorter side spans.
AZIMUTH, ELEVATION, DISTANCE, FIELD_OF_VIEW = 30.0, 15.0, 1.9, 35.0
BACKGROUND = 1.0
PALE = (0.84, 0.82, 0.79)


def shaded(surface, side: int) -> np.ndarray:
    """`[side, side, 3]` float32 sRGB: a matt surface lit from the eye; points as dots."""
    origin, directions = _rays(side)
    picture = np.full((side * side, 3), BACKGROUND, np.float32)
    if hasattr(surface, "cast"):
        t, faces = surface.cast(np.broadcast_to(origin, directions.shape), directions)
        hit = np.flatnonzero(faces >= 0)
        normals = surface.face_normals[faces[hit]]
        places = origin + t[hit, None] * directions[hit]
        paint = surface.colors(faces[hit], places) if surface.paint is not None else PALE
    else:
        hit, numbers = _dots(surface.points, origin, side)
        normals = surface.point_normals[numbers]
        paint = surface.colors_of_points[numbers] if surface.paint is not None else PALE
    facing = np.abs((normals * directions[hit]).sum(axis=1, keepdims=True))
    picture[hit] = paint * (0.25 + 0.75 * facing)
    return picture.reshape(side, side, 3)


def _basis() -> tuple[np.ndarray, np.ndarray]:
    """The camera's position, and its right, up and backward directions as rows."""
    azimuth, elevation = np.radians(AZIMUTH), np.radians(ELEVATION)
    backward = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    right = np.cross([0.0, 1.0, 0.0], backward)
    right /= np.linalg.norm(right)
    return 0.5 + DISTANCE * backward, np.stack([right, np.cross(backward, right), backward])


def _focal(side: int) -> float:
    return 0.5 * side / np.tan(np.radians(FIELD_OF_VIEW) / 2)


def _rays(side: int) -> tuple[np.ndarray, np.ndarray]:
    origin, basis = _basis()
    x = (np.arange(side) + 0.5 - side / 2) / _focal(side)
    directions = np.stack(
        [np.broadcast_to(x, (side, side)), np.broadcast_to(-x[:, None], (side, side)), np.full((side, side), -1.0)],
        axis=-1,
    )
    directions = directions.reshape(-1, 3) @ basis
    return origin, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _dots(points: np.ndarray, origin: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels (row by row) show which point: each is a square of two or more pixels, the nearest in front."""
    _, basis = _basis()
    seen = (points - origin) @ basis.T
    size = max(2, round(side / 200))
    x = np.floor(side / 2 - seen[:, 0] / seen[:, 2] * _focal(side) - size / 2).astype(np.int64)
    y = np.floor(side / 2 + seen[:, 1] / seen[:, 2] * _focal(side) - size / 2).astype(np.int64)
    far = np.argsort(seen[:, 2], kind="stable")  # the farthest first: the nearest is written last
    owner = np.full(side * side, -1, np.int64)
    for dy in range(size):
        for dx in range(size):
            column, row = x[far] + dx, y[far] + dy
            visible = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            owner[row[visible] * side + column[visible]] = far[visible]
    hit = np.flatnonzero(owner >= 0)
    return hit, owner[hit]
