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
        u, v = _Polynomial("opencv", intrinsics.distortion).undo(u, v, u.copy(), v.copy())
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
        sideways = np.hypot(local[:, 0], local[:, 1])
        angle = np.arctan2(sideways, depth)
        factor, _ = _series(angle_powers(intrinsics.distortion), angle * angle)
        scale = angle * factor / np.where(sideways > 0, sideways, 1.0)
        u, v = local[:, 0] * scale, -local[:, 1] * scale
        if len(intrinsics.distortion) > 4:
            u, v = _Polynomial("fisheye", intrinsics.distortion).apply(u, v)
    else:
        ahead = np.where(depth > 0, depth, np.inf)
        u, v = local[:, 0] / ahead, -local[:, 1] / ahead
        if intrinsics.model == "opencv":
            u, v = _Polynomial("opencv", intrinsics.distortion).apply(u, v)
    return u * intrinsics.fl_x + intrinsics.cx, v * intrinsics.fl_y + intrinsics.cy, depth


def in_image(intrinsics: Intrinsics, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points of `project` lie inside of the image, `[N]` bool."""
    return (x >= 0) & (x < intrinsics.width) & (y >= 0) & (y < intrinsics.height)


def angle_powers(distortion: tuple[float, ...]) -> tuple[float, ...]:
    """Coefficients of a fisheye lens that bend the angle to the axis alone, before what else bends the image."""
    return distortion[:4] if len(distortion) <= 4 else distortion[:6] if len(distortion) > 8 else ()


class _Polynomial:
    """Radial, tangential and prism distortion in the plane of the image, or of the fisheye's angles.

    The radial factor is a polynomial of r^2, divided by one of OpenCV's rational model.
    """

    def __init__(self, model: str, distortion: tuple[float, ...]) -> None:
        first, rest = distortion[:4], distortion[4:] or (0.0, 0.0, 0.0, 0.0)
        # Factors of r^2 and of r^4 that move u and v.
        self.prism, self.prism_4 = (0.0, 0.0), (0.0, 0.0)
        if len(distortion) > 8:
            # Project Aria's: the radial part is `angle_powers`, and p0 is what others call p2.
            p0, p1, s0, s1, s2, s3 = distortion[6:]
            (self.powers, self.divisor), self.tangential = ((), ()), (p1, p0)
            self.prism, self.prism_4 = (s0, s2), (s1, s3)
        elif model == "fisheye":
            (self.powers, self.divisor), self.tangential, self.prism = (first, ()), rest[:2], (rest[2], rest[3])
        else:
            (self.powers, self.divisor), self.tangential = ((*first[:2], rest[0]), rest[1:]), first[2:]
        if not any(self.divisor):
            self.divisor = ()

    def radial(self, r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The radial factor and its derivative by r^2."""
        value, slope = _series(self.powers, r2)
        if not self.divisor:
            return value, slope
        below, below_slope = _series(self.divisor, r2)
        below = np.where(np.abs(below) > 1e-9, below, 1e-9)
        return value / below, (slope - value / below * below_slope) / below

    def apply(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points are after the distortion."""
        (p1, p2), (s1, s2), (t1, t2) = self.tangential, self.prism, self.prism_4
        r2 = a * a + b * b
        radial, _ = self.radial(r2)
        return (
            a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a) + (s1 + t1 * r2) * r2,
            b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b + (s2 + t2 * r2) * r2,
        )

    def undo(self, u: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inverse of `apply`, by Newton's method in two unknowns from the estimate `a`, `b`."""
        p1, p2 = self.tangential
        for _ in range(NEWTON_STEPS):
            r2 = a * a + b * b
            radial, slope = self.radial(r2)
            s1, s2 = (first + 2 * second * r2 for first, second in zip(self.prism, self.prism_4))
            off_u, off_v = self.apply(a, b)
            off_u, off_v = off_u - u, off_v - v
            uu = radial + 2 * a * a * slope + 2 * p1 * b + 6 * p2 * a + 2 * s1 * a
            vv = radial + 2 * b * b * slope + 6 * p1 * b + 2 * p2 * a + 2 * s2 * b
            cross = 2 * a * b * slope + 2 * p1 * a + 2 * p2 * b
            uv, vu = cross + 2 * s1 * b, cross + 2 * s2 * a
            determinant = uu * vv - uv * vu
            # Beyond the radius where the polynomial folds over it has no inverse; there the last estimate stays.
            invertible = determinant > 0.05
            determinant = np.where(invertible, determinant, 1.0)
            a = a - np.where(invertible, (vv * off_u - uv * off_v) / determinant, 0.0)
            b = b - np.where(invertible, (uu * off_v - vu * off_u) / determinant, 0.0)
        return a, b


def _series(coefficients: tuple[float, ...], r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 + c1 r^2 + c2 r^4 + ..., and its derivative by r^2."""
    value, slope = np.zeros_like(r2), np.zeros_like(r2)
    for power, coefficient in reversed(list(enumerate(coefficients, 1))):
        value = r2 * (coefficient + value)
        slope = power * coefficient + r2 * slope
    return 1 + value, slope


def _fisheye_directions(u: np.ndarray, v: np.ndarray, distortion: tuple[float, ...]) -> np.ndarray:
    """Directions of OpenCV's fisheye (Kannala and Brandt 2006) and of COLMAP's lenses with more terms.

    The distance from the axis is a polynomial of the angle to it. Tangential and prism terms, which are small, bend
    what that gives.
    """
    if len(distortion) > 8:
        u, v = _Polynomial("fisheye", distortion).undo(u, v, u.copy(), v.copy())
    radius = np.hypot(u, v)
    # Where all terms bend the image together, the radial ones alone give the estimate to begin with.
    angle = _undone_angle(radius, angle_powers(distortion) or distortion[:4])
    if 4 < len(distortion) <= 8:
        scale = angle / np.where(radius > 0, radius, 1.0)
        u, v = _Polynomial("fisheye", distortion).undo(u, v, u * scale, v * scale)
        radius = np.hypot(u, v)
        angle = np.minimum(radius, np.pi)
    sideways = np.sin(angle) / np.where(radius > 0, radius, 1.0)
    return np.stack([u * sideways, -v * sideways, -np.cos(angle)], axis=-1)


def _undone_angle(radius: np.ndarray, powers: tuple[float, ...]) -> np.ndarray:
    """Angles to the axis in [0, pi] of distances from it, which are odd polynomials of the angles."""
    angle = np.minimum(radius, np.pi)
    for _ in range(NEWTON_STEPS):
        factor, slope = _series(powers, angle * angle)
        slope = factor + 2 * angle * angle * slope
        off = angle * factor - radius
        angle = np.clip(angle - np.where(slope > 0.05, off / np.where(slope > 0.05, slope, 1.0), 0.0), 0.0, np.pi)
    return angle
