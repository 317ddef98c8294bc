"""From pixels to the rays that a camera saw them along."""

from __future__ import annotations

import numpy as np

from scenes.posed.view import Intrinsics, View

STEPS = 12  # of Newton's method; distortions of real lenses are undone to rounding in half as many


def rays_of(view: View, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origins and unit directions `[N, 3]` float64, in the scene's axes, of places `x`, `y` `[N]` in the picture: in pixels from
    the top left corner, so that pixel i's centre is at i + 0.5."""
    directions = (
        directions_of(view.intrinsics, np.asarray(x, np.float64), np.asarray(y, np.float64)) @ view.pose[:, :3].T
    )
    return np.broadcast_to(view.pose[:, 3], directions.shape), directions


def directions_of(intrinsics: Intrinsics, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unit directions `[N, 3]` in the camera's axes (x right, y up, looking along -z)."""
    u, v = (x - intrinsics.cx) / intrinsics.fl_x, (y - intrinsics.cy) / intrinsics.fl_y
    if intrinsics.model == "fisheye":
        return _fisheye(u, v, intrinsics.distortion)
    if intrinsics.model == "opencv":
        u, v = _undistorted(u, v, intrinsics.distortion)
    directions = np.stack([u, -v, -np.ones_like(u)], axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def pixels_of(view: View, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a view shows points `[N, 3]` of the scene: x, y `[N]` in pixels from the top left corner, and depths `[N]` along its axis,
    below zero for what is behind a camera (whose x and y then mean nothing)."""
    local = (np.asarray(points, np.float64) - view.pose[:, 3]) @ view.pose[:, :3]
    depth, intrinsics = -local[:, 2], view.intrinsics
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


def _distorted(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    k1, k2, p1, p2 = distortion
    r2 = u * u + v * v
    radial = 1 + r2 * (k1 + r2 * k2)
    return u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v


def _undistorted(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Undoes OpenCV's radial and tangential distortion (Brown 1966) by Newton's method."""
    k1, k2, p1, p2 = distortion
    a, b = u.copy(), v.copy()
    for _ in range(STEPS):
        r2 = a * a + b * b
        radial, slope = 1 + r2 * (k1 + r2 * k2), k1 + 2 * k2 * r2
        off_u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a) - u
        off_v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b - v
        uu = radial + 2 * a * a * slope + 2 * p1 * b + 6 * p2 * a
        vv = radial + 2 * b * b * slope + 6 * p1 * b + 2 * p2 * a
        uv = 2 * a * b * slope + 2 * p1 * a + 2 * p2 * b
        determinant = uu * vv - uv * uv
        # Beyond where the polynomial folds over it undoes nothing: there the last guess stays.
        sound = determinant > 0.05
        determinant = np.where(sound, determinant, 1.0)
        a = a - np.where(sound, (vv * off_u - uv * off_v) / determinant, 0.0)
        b = b - np.where(sound, (uu * off_v - uv * off_u) / determinant, 0.0)
    return a, b


def _fisheye(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> np.ndarray:
    """OpenCV's fisheye (Kannala and Brandt 2006): the distance from the axis is a polynomial of the angle to it."""
    k1, k2, k3, k4 = distortion
    radius = np.hypot(u, v)
    angle = np.minimum(radius, np.pi)
    for _ in range(STEPS):
        s = angle * angle
        off = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) - radius
        slope = 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)))
        angle = np.clip(angle - np.where(slope > 0.05, off / np.where(slope > 0.05, slope, 1.0), 0.0), 0.0, np.pi)
    sideways = np.sin(angle) / np.where(radius > 0, radius, 1.0)
    return np.stack([u * sideways, -v * sideways, -np.cos(angle)], axis=-1)
