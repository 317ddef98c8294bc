"""Signed distances of simple solids, and of their unions.

Points are given as three arrays x, y, z `[N]`, which numpy handles several times faster than rows of three. Distances
are `[N]`, negative inside.
"""

from __future__ import annotations

import numpy as np

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
Triple = tuple[float, float, float]


def translated(p: Points, centre: Triple) -> Points:
    """Points in axes whose origin is `centre`."""
    x, y, z = (v - np.float32(c) for v, c in zip(p, centre))
    return x, y, z


def rotated(p: Points, degrees: float) -> Points:
    """Points in axes that are rotated around z by `degrees`."""
    c, s = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return c * p[0] + s * p[1], c * p[1] - s * p[0], p[2]


def norm(*parts: np.ndarray) -> np.ndarray:
    """Length `[N]` of vectors that are given by their coordinates `[N]`."""
    return np.sqrt(sum(part * part for part in parts))


def ellipsoid(p: Points, radii: Triple) -> np.ndarray:
    """Distance to an ellipsoid: exact for a sphere; else exact on the surface, with the right slope there."""
    if radii[0] == radii[1] == radii[2]:
        return norm(*p) - np.float32(radii[0])
    scaled = [v * np.float32(1 / r) for v, r in zip(p, radii)]
    near = norm(*scaled)
    slope = norm(*(v * np.float32(1 / r) for v, r in zip(scaled, radii)))
    return near * (near - 1) / np.maximum(slope, np.float32(1e-6))


def torus(p: Points, radius: float, thickness: float) -> np.ndarray:
    """Distance to a ring around the z axis."""
    return norm(norm(p[0], p[1]) - np.float32(radius), p[2]) - np.float32(thickness)


def disc(p: Points, radius: float, height: float, rounding: float) -> np.ndarray:
    """Distance to an upright cylinder, `height` from top to bottom, with rounded rims."""
    out = norm(p[0], p[1]) - np.float32(radius - rounding)
    over = np.abs(p[2]) - np.float32(height / 2 - rounding)
    return np.minimum(np.maximum(out, over), 0) + norm(np.maximum(out, 0), np.maximum(over, 0)) - np.float32(rounding)


def block(p: Points, sides: Triple, rounding: float) -> np.ndarray:
    """Distance to a box with rounded edges."""
    q = [np.abs(v) - np.float32(side / 2 - rounding) for v, side in zip(p, sides)]
    inside = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0)
    return norm(*(np.maximum(v, 0) for v in q)) + inside - np.float32(rounding)


def smooth_union(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Distance to the union of two solids, with a fillet of about `width` where they meet.

    It is the polynomial smooth minimum of their distances `a` and `b` `[N]`.
    """
    over = np.maximum(np.float32(width) - np.abs(a - b), 0)
    return np.minimum(a, b) - over * over * np.float32(0.25 / width)
