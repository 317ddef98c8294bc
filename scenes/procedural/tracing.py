"""Sphere tracing (Hart 1996) of analytic signed distances, in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Points `[N, 3]` float32 to signed distances `[N]` float32, negative inside.
Distance = Callable[[np.ndarray], np.ndarray]
# Radius of the tetrahedron of points from whose distances a normal is taken.
NORMAL_RADIUS = np.float32(2e-3)
TETRAHEDRON = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)


def clip_to_box(
    origins: np.ndarray, directions: np.ndarray, lower: tuple[float, ...], upper: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of each ray inside of a box: near and far `[N]` float32, both 0 for a ray that misses it.

    By the slab method (Kay and Kajiya 1986). origins, directions: `[N, 3]` float32.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = ((np.array(corner, np.float32) - origins) / directions for corner in (lower, upper))
    # A ray along a face has 0 / 0 there, which does not bound it.
    enter = np.nan_to_num(np.fmin(first, second), nan=-np.inf, posinf=np.inf, neginf=-np.inf).max(axis=1)
    leave = np.nan_to_num(np.fmax(first, second), nan=np.inf, posinf=np.inf, neginf=-np.inf).min(axis=1)
    near = np.maximum(enter, 0)
    hit = leave > near
    return np.where(hit, near, 0).astype(np.float32), np.where(hit, leave, 0).astype(np.float32)


def sphere_trace(
    distance: Distance,
    origins: np.ndarray,
    directions: np.ndarray,
    *,
    near: np.ndarray,
    far: np.ndarray,
    steps: int,
    tolerance: float,
    fraction: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """The first points of rays on the surface: whether there is one `[N]` bool, and its distance t `[N]` float32.

    t is far where there is none.

    A ray advances by `fraction` of the distance. Once it has been inside, it stays between the last point outside and
    the first one inside, and goes to their middle where the distance would lead out of there or has not halved. It has
    arrived where the distance, or that interval, is below `tolerance`, and is given up after `steps`.

    Args:
        origins, directions: `[N, 3]` float32, directions of unit length.
        near, far: `[N]` float32; rays with far <= near are not traced.
        steps: largest number of steps.
        tolerance: in units of the points.
        fraction: below 1 for distances that are overstated somewhere.
    """
    hit, t = np.zeros(len(origins), bool), far.copy()
    active = np.flatnonzero(far > near)
    # Only rays that are still under way are carried from step to step.
    at, first, last, o, d = (x[active] for x in (near, near, far, origins, directions))
    outside, inside, before = first.copy(), np.full_like(first, np.inf), np.full_like(first, np.inf)
    for _ in range(steps):
        if not len(active):
            break
        value = distance(o + at[:, None] * d)
        outside, inside = np.where(value > 0, at, outside), np.where(value < 0, at, inside)
        size = np.abs(value)
        arrived = (size < tolerance) | ((value < 0) & (at <= first)) | (inside - outside < tolerance)
        # The last step is taken in whole, which halves the error that is left.
        step = at + value * np.where(arrived, np.float32(1), np.float32(fraction))
        halve = np.isfinite(inside) & ((step <= outside) | (step >= inside) | (size > before / 2))
        at = np.maximum(np.where(halve, (outside + inside) / 2, step), first)
        done = active[arrived]
        hit[done], t[done] = True, np.minimum(at, last)[arrived]
        keep = ~arrived & (at < last)
        carried = active, at, first, last, o, d, outside, inside, size
        active, at, first, last, o, d, outside, inside, before = (x[keep] for x in carried)
    return hit, t


def surface_normals(distance: Distance, points: np.ndarray) -> np.ndarray:
    """Unit normals `[N, 3]` float32 at points `[N, 3]`, by differences between the corners of a tetrahedron."""
    offset = NORMAL_RADIUS / np.float32(3**0.5)
    gradient = sum(distance(points + corner * offset)[:, None] * corner for corner in TETRAHEDRON)
    return gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), np.float32(1e-20))
