"""Vertices of a mesh in a camera's image, ready to be rasterised."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial

from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.projection import angle_powers, project

# Depth of vertices that no lens shows. `fields.ops.rasterise` leaves out faces that touch them.
UNSEEN = -1.0
# Vertices projected at a time.
CHUNK = 1 << 18


def project_vertices(camera: Camera, vertices: np.ndarray) -> np.ndarray:
    """Where a camera sees vertices `[V, 3]` of the scene: `[V, 3]` float32, as `fields.ops.rasterise` takes them.

    x to the right and y down, in pixels from the top left corner; z is the depth along the optical axis, in the
    scene's units. Any lens. Edges between distorted vertices stay straight, so triangles should be small where the
    lens distorts.

    z is at most 0 behind the camera, and -1 outside of the lens's field of view: beyond the angle where the polynomial
    of its distortion turns round, it would show a vertex a second time. x and y mean nothing there.
    """
    positions = np.empty((len(vertices), 3), np.float32)
    for start in range(0, len(vertices), CHUNK):
        part = np.asarray(vertices[start : start + CHUNK], np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            positions[start : start + CHUNK] = np.stack(_projected(camera, part), axis=1)
    return positions


def _projected(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, depth = project(camera, points)
    limit = field_of_view(camera.intrinsics)
    if limit < np.inf:
        local = (points - camera.position) @ camera.pose[:, :3]
        sideways = np.hypot(local[:, 0], local[:, 1])
        if camera.intrinsics.model == "fisheye":
            beyond = np.arctan2(sideways, depth) >= limit
        else:
            beyond = sideways >= limit * depth
        depth = np.where(beyond & (depth > 0), UNSEEN, depth)
    # Points so near to the camera's plane that float32 cannot hold their pixels.
    lost = ~(np.abs(x) < np.finfo(np.float32).max) | ~(np.abs(y) < np.finfo(np.float32).max)
    return np.where(lost, 0.0, x), np.where(lost, 0.0, y), np.where(lost & (depth > 0), UNSEEN, depth)


def field_of_view(intrinsics: Intrinsics) -> float:
    """Distance from the optical axis where the distortion's radial polynomial turns round; infinity if nowhere.

    In radians for fisheye lenses, else as the tangent of the angle. Tangential distortion is not considered.
    """
    if intrinsics.model == "pinhole":
        return float("inf")
    distortion, fisheye = intrinsics.distortion, intrinsics.model == "fisheye"
    powers = (angle_powers(distortion) or distortion[:4]) if fisheye else (*distortion[:2], *distortion[4:5])
    # r N(s) / D(s) with s = r^2 turns round where N D + 2 s (N' D - N D') is zero, and ends where D is.
    above, below = Polynomial((1.0, *powers)), Polynomial((1.0, *(() if fisheye else distortion[5:])))
    slope = above * below + Polynomial((0.0, 2.0)) * (above.deriv() * below - above * below.deriv())
    roots = np.concatenate([slope.trim().roots(), below.trim().roots()])
    turns = roots.real[(np.abs(roots.imag) < 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(np.sqrt(turns.min())) if len(turns) else float("inf")
