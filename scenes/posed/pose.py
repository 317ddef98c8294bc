"""Poses of cameras: looking at a point, on an orbit, and between key poses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scenes.errors import BadInput
from scenes.posed.camera import Camera, Intrinsics

UP = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
# Key poses that are repeated before and after a closed path. Poses further along the path hardly bend its spline.
CLOSED_PATH_MARGIN = 4


def look_at(position: ArrayLike, target: ArrayLike, up: str | ArrayLike = "z") -> np.ndarray:
    """The pose of a camera at `position` that sees `target` in the middle of its image.

    Args:
        position, target: `[3]`.
        up: the direction that is upright in the image, as the name of an axis or as a vector `[3]`.

    Returns `[3, 4]` float64, camera to world with OpenGL axes. Raises ValueError where position and target are one
    point, or the camera would look straight along `up`.
    """
    if isinstance(up, str) and up not in UP:
        raise ValueError(f"up is x, y or z, not {up!r}")
    position, target = np.asarray(position, np.float64), np.asarray(target, np.float64)
    upright = np.asarray(UP[up] if isinstance(up, str) else up, np.float64)
    backward = position - target
    right = np.cross(upright, backward)
    if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(backward) * np.linalg.norm(upright):
        raise ValueError(
            f"a camera at {position.tolist()} cannot look at {target.tolist()} with {upright.tolist()} upright"
        )
    right, backward = right / np.linalg.norm(right), backward / np.linalg.norm(backward)
    return np.stack([right, np.cross(backward, right), backward, position], axis=1)


def orbit(
    azimuth: float,
    elevation: float,
    distance: float,
    size: tuple[int, int],
    *,
    field_of_view: float = 40.0,
    target: tuple[float, float, float] = (0.5, 0.5, 0.5),
    up: str = "y",
) -> Camera:
    """A pinhole camera on a sphere around `target`, looking at it.

    Args:
        azimuth: degrees. 0 is the front, which is +z where y is up and -y where z is up, as in modelling programs. It
            grows to the right of the object as seen from the front.
        elevation: degrees above the horizon, from -89.9 to 89.9.
        distance: from the target, in its units.
        size: width and height of the image in pixels.
        field_of_view: degrees across the shorter side of the image, between 0 and 180.
        up: "x", "y" or "z".

    Raises ValueError where an argument is outside of its range.
    """
    if not 0.0 < field_of_view < 180.0:
        raise ValueError(f"a field of view is between 0 and 180 degrees, not {field_of_view}")
    if not (distance > 0 and math.isfinite(distance) and math.isfinite(azimuth) and -89.9 <= elevation <= 89.9):
        raise ValueError(f"no camera orbits at azimuth {azimuth}, elevation {elevation}, distance {distance}")
    a, e = math.radians(azimuth), math.radians(elevation)
    side, front, above = math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e)
    offsets = {"y": (side, above, front), "z": (side, -front, above), "x": (above, -side, front)}
    if up not in offsets:
        raise ValueError(f"up is x, y or z, not {up!r}")
    position = [t + distance * o for t, o in zip(target, offsets[up])]
    focal = 0.5 * min(size) / math.tan(math.radians(field_of_view) / 2)
    return Camera(look_at(position, target, up), Intrinsics.pinhole(*size, focal))


def focus_point(poses: np.ndarray) -> np.ndarray:
    """The point `[3]` nearest to the optical axes of poses `[N, 3, 4]`, in the sense of least squares."""
    positions, forward = poses[:, :, 3], -poses[:, :, 2]
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    # A small pull to the mean of the cameras makes the system solvable where all axes are parallel.
    weight = 1e-3 * len(poses)
    return np.linalg.solve(
        across.sum(0) + weight * np.eye(3),
        (across @ positions[:, :, None]).sum(0)[:, 0] + weight * positions.mean(0),
    )


def turntable_cameras(cameras: Sequence[Camera], count: int, intrinsics: Intrinsics) -> list[Camera]:
    """`count` cameras on a circle around the point that the given cameras look at.

    The circle has their mean height and mean distance from the axis; its axis is their mean up direction, or the
    coordinate axis that is close to it. Times go from 0 to nearly 1. Raises BadInput where all cameras are straight
    above that point.
    """
    poses = np.stack([camera.pose for camera in cameras])
    positions = poses[:, :, 3]
    up = poses[:, :, 1].mean(axis=0)
    axis = np.eye(3)[int(np.abs(up).argmax())] * np.sign(up[int(np.abs(up).argmax())])
    length = float(np.linalg.norm(up))
    # Scenes are upright along a coordinate axis more often than along a direction close to one.
    up = axis if length < 1e-6 or up @ axis > 0.9 * length else up / length
    centre = focus_point(poses)
    heights = (positions - centre) @ up
    height = float(heights.mean())
    radius = float(np.linalg.norm(positions - centre - heights[:, None] * up, axis=1).mean())
    if not radius > 1e-6 * math.hypot(radius, height):
        raise BadInput(
            "the cameras are all straight above what they look at, so no circle leads around it; give "
            "`path=CAMERAS.json`"
        )
    side = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    side /= np.linalg.norm(side)
    front = np.cross(up, side)
    found = []
    for index in range(count):
        angle = 2 * math.pi * index / count
        offset = radius * (math.cos(angle) * side + math.sin(angle) * front)
        position = centre + up * height + offset
        found.append(Camera(look_at(position, centre, up), intrinsics, index / count))
    return found


def interpolate_poses(poses: np.ndarray, count: int, closed: bool = False) -> np.ndarray:
    """Poses `[count, 3, 4]` along a smooth path through key poses `[K, 3, 4]`, with equal time between the keys.

    Positions and rotations follow cubic splines through the keys. An open path begins at the first key and ends at the
    last; a closed one goes on to the first key, where it would begin again. Raises ValueError where there are fewer
    than two keys or poses, or where neighbouring keys look in opposite directions, so that the way to turn is not
    defined.
    """
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    poses = np.asarray(poses, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (3, 4) or len(poses) < 2 or count < 2:
        raise ValueError(
            f"a path needs two key poses [K, 3, 4] or more and two frames or more, not {list(poses.shape)} and {count}"
        )
    num_keys = len(poses)
    keys = np.arange(num_keys)
    if closed:
        keys = np.arange(-CLOSED_PATH_MARGIN, num_keys + CLOSED_PATH_MARGIN + 1)
        poses = poses[keys % num_keys]
    rotations = Rotation.from_matrix(poses[:, :, :3])
    if (rotations[:-1].inv() * rotations[1:]).magnitude().max() > np.pi - 1e-3:
        raise ValueError("two neighbouring poses look in opposite directions; give one between them")
    times = path_times(num_keys, count, closed)
    matrices = RotationSpline(keys, rotations)(times).as_matrix()
    return np.concatenate([matrices, CubicSpline(keys, poses[:, :, 3], axis=0)(times)[:, :, None]], axis=2)


def path_times(num_keys: int, count: int, closed: bool) -> np.ndarray:
    """Times `[count]` of the frames of a path, in which key k has the time k.

    A closed path returns to key 0 at the time `num_keys`.
    """
    return np.arange(count) * (num_keys / count) if closed else np.linspace(0.0, num_keys - 1, count)
