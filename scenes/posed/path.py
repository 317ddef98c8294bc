"""Where cameras go."""

from __future__ import annotations

import numpy as np

UP = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def looking_at(position, target, up: str | tuple[float, float, float] | np.ndarray = "z") -> np.ndarray:
    """The pose `[3, 4]` float64 (camera to world, OpenGL axes) of a camera at `position` that sees `target` in the middle and
    the direction `up` (an axis's name or a vector) upright. ValueError where it would look straight along `up`."""
    position, target = np.asarray(position, np.float64), np.asarray(target, np.float64)
    upright = np.asarray(UP[up] if isinstance(up, str) else up, np.float64)
    backward = position - target
    right = np.cross(upright, backward)
    if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(backward) * np.linalg.norm(upright):
        raise ValueError(f"a camera at {position.tolist()} cannot look at {target.tolist()} with {upright.tolist()} upright")
    right, backward = right / np.linalg.norm(right), backward / np.linalg.norm(backward)
    return np.stack([right, np.cross(backward, right), backward, position], axis=1)


def between(poses: np.ndarray, count: int, closed: bool = False) -> np.ndarray:
    """`count` poses `[count, 3, 4]` along a smooth way through key poses `[K, 3, 4]`, K >= 2: as long from each to the next.

    Places and rotations follow cubic splines through the keys. An open way begins at the first key and ends at the last; a
    closed one goes on to the first again, where it would begin anew. ValueError where there are too few of anything, or
    where neighbouring keys look in opposite directions, so that there is no one way to turn.
    """
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    poses = np.asarray(poses, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (3, 4) or len(poses) < 2 or count < 2:
        raise ValueError(f"a way leads through two poses [K, 3, 4] or more and has two frames or more, not {list(poses.shape)} and {count}")
    keys = np.arange(len(poses))
    if closed:
        # Some keys before and after: what lies far off along the way hardly bends it.
        keys = np.arange(-4, len(poses) + 5)
        poses = poses[keys % len(poses)]
    turns = Rotation.from_matrix(poses[:, :, :3])
    if (turns[:-1].inv() * turns[1:]).magnitude().max() > np.pi - 1e-3:
        raise ValueError("two neighbouring poses look in opposite directions; give one between them")
    last = len(poses) - 9 if closed else len(poses) - 1
    at = np.arange(count) * (last / count) if closed else np.linspace(0.0, last, count)
    rotations = RotationSpline(keys, turns)(at).as_matrix()
    return np.concatenate([rotations, CubicSpline(keys, poses[:, :, 3], axis=0)(at)[:, :, None]], axis=2)
