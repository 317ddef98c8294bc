"""Projection: from pixels to directions and from points to pixels, with the distortions of real lenses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenes.posed.camera import Camera, Intrinsics

# Iterations of Newton's method that undo a distortion. Those of real lenses converge to rounding in half as many.
NEWTON_STEPS = 12


def pixel_directions(intrinsics: Intrinsics, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unit directions `[N, 3]` float64 through points of the image, in the camera's axes.

    The axes are x right, y up, looking along -z.

    Args:
        x, y: `[N]`, in pixels from the top left corner.
    """
    u, v = (x - intrinsics.cx) / intrinsics.fl_x, (y - intrinsics.cy) / intrinsics.fl_y
    if intrinsics.model == "fisheye":
        return _fisheye_directions(u, v, intrinsics.distortion)
    if intrinsics.model == "opencv":
        u, v = _undistorted(u, v, intrinsics.distortion)
    directions = np.stack([u, -v, -np.ones_like(u)], axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a camera sees points `[N, 3]` of the scene: x, y and depth, `[N]` float64 each.

    x and y are in pixels from the top left corner. The depth is along the optical axis, in the scene's units; it is
    below zero behind the camera, where x and y mean nothing.
    """
    local = (np.asarray(points, np.float64) - camera.position) @ camera.pose[:, :3]
    depth, intrinsics = -local[:, 2], camera.intrinsics
    if intrinsics.model == "fisheye":
        k1, k2, k3, k4 = intrinsics.distortion
        sideways = np.hypot(local[:, 0], local[:, 1])
        angle = np.arctan2(sideways, depth)
        s = angle * angle
        scale = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) / np.where(sideways > 0, sideways, 1.0)
        u, v = local[:, 0] * scale, -local[:, 1] * scale
    else:
        ahead = np.where(depth > 0, depth, np.inf)
        u, v = local[:, 0] / ahead, -local[:, 1] / ahead
        if intrinsics.model == "opencv":
            u, v = _distorted(u, v, intrinsics.distortion)
    return u * intrinsics.fl_x + intrinsics.cx, v * intrinsics.fl_y + intrinsics.cy, depth


def in_image(intrinsics: Intrinsics, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points of `project` lie inside of the image, `[N]` bool."""
    return (x >= 0) & (x < intrinsics.width) & (y >= 0) & (y < intrinsics.height)


def _distorted(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Radial and tangential distortion (Brown 1966), as OpenCV defines it."""
    k1, k2, p1, p2 = distortion
    r2 = u * u + v * v
    radial = 1 + r2 * (k1 + r2 * k2)
    return u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v


def _undistorted(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `_distorted`, by Newton's method in two unknowns."""
    k1, k2, p1, p2 = distortion
    a, b = u.copy(), v.copy()
    for _ in range(NEWTON_STEPS):
        r2 = a * a + b * b
        radial, slope = 1 + r2 * (k1 + r2 * k2), k1 + 2 * k2 * r2
        off_u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a) - u
        off_v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b - v
        uu = radial + 2 * a * a * slope + 2 * p1 * b + 6 * p2 * a
        vv = radial + 2 * b * b * slope + 6 * p1 * b + 2 * p2 * a
        uv = 2 * a * b * slope + 2 * p1 * a + 2 * p2 * b
        determinant = uu * vv - uv * uv
        # Beyond the radius where the polynomial folds over it has no inverse; there the last estimate stays.
        invertible = determinant > 0.05
        determinant = np.where(invertible, determinant, 1.0)
        a = a - np.where(invertible, (vv * off_u - uv * off_v) / determinant, 0.0)
        b = b - np.where(invertible, (uu * off_v - uv * off_u) / determinant, 0.0)
    return a, b


def _fisheye_directions(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> np.ndarray:
    """OpenCV's fisheye (Kannala and Brandt 2006): the distance from the axis is a polynomial of the angle to it."""
    k1, k2, k3, k4 = distortion
    radius = np.hypot(u, v)
    angle = np.minimum(radius, np.pi)
    for _ in range(NEWTON_STEPS):
        s = angle * angle
        off = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) - radius
        slope = 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)))
        angle = np.clip(angle - np.where(slope > 0.05, off / np.where(slope > 0.05, slope, 1.0), 0.0), 0.0, np.pi)
    sideways = np.sin(angle) / np.where(radius > 0, radius, 1.0)
    return np.stack([u * sideways, -v * sideways, -np.cos(angle)], axis=-1)
