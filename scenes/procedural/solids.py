"""Signed distances of simple solids, and what becomes of them when they touch.

Places come as three arrays x, y, z `[N]`, which numpy goes through several times faster than rows of three; distances are
`[N]`, negative inside.
"""

from __future__ import annotations

import numpy as np

Place = tuple[np.ndarray, np.ndarray, np.ndarray]
Triple = tuple[float, float, float]


def moved(p: Place, centre: Triple) -> Place:
    """Places as seen from `centre`."""
    return tuple(v - np.float32(c) for v, c in zip(p, centre))


def turned(p: Place, degrees: float) -> Place:
    """Places in axes that are turned around z."""
    c, s = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return c * p[0] + s * p[1], c * p[1] - s * p[0], p[2]


def length(*parts: np.ndarray) -> np.ndarray:
    return np.sqrt(sum(part * part for part in parts))


def ellipsoid(p: Place, radii: Triple) -> np.ndarray:
    """Exact for a sphere; else right on the surface and of the right slope there."""
    if radii[0] == radii[1] == radii[2]:
        return length(*p) - np.float32(radii[0])
    scaled = [v * np.float32(1 / r) for v, r in zip(p, radii)]
    near = length(*scaled)
    slope = length(*(v * np.float32(1 / r) for v, r in zip(scaled, radii)))
    return near * (near - 1) / np.maximum(slope, np.float32(1e-6))


def torus(p: Place, radius: float, thickness: float) -> np.ndarray:
    """A ring around the axis z."""
    return length(length(p[0], p[1]) - np.float32(radius), p[2]) - np.float32(thickness)


def disc(p: Place, radius: float, height: float, rounding: float) -> np.ndarray:
    """An upright cylinder, `height` from top to bottom, with rounded rims."""
    out = length(p[0], p[1]) - np.float32(radius - rounding)
    over = np.abs(p[2]) - np.float32(height / 2 - rounding)
    return np.minimum(np.maximum(out, over), 0) + length(np.maximum(out, 0), np.maximum(over, 0)) - np.float32(rounding)


def block(p: Place, sides: Triple, rounding: float) -> np.ndarray:
    """A box with rounded edges."""
    q = [np.abs(v) - np.float32(side / 2 - rounding) for v, side in zip(p, sides)]
    inside = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0)
    return length(*(np.maximum(v, 0) for v in q)) + inside - np.float32(rounding)


def blended(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The union of two solids with a fillet of about `width` where they meet (the polynomial smooth minimum)."""
    over = np.maximum(np.float32(width) - np.abs(a - b), 0)
    return np.minimum(a, b) - over * over * np.float32(0.25 / width)
