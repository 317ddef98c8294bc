"""Poses in other conventions than camera to world with OpenGL axes: recognised, converted, and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import checked_pose
from scenes.posed.pose import focus_point

Convention = Literal["opengl", "opencv", "w2c", "w2c-opencv"]
# What others than "opengl" are called in notes.
CONVENTION_NAMES: dict[Convention, str] = {
    "opencv": "of OpenCV's axes",
    "w2c-opencv": "from world to camera with OpenCV's axes",
    "w2c": "from world to camera",
}
# The note about cameras that look away, by which `scenes.posed.signal` knows it.
LOOK_AWAY = (
    "the cameras look away from the place that they stand around; if they should look at it, their axes are OpenCV's: "
    "give `pose_convention=opencv`"
)
# Cosine of the angle between a camera's axis and the direction to what all look at, from which it looks at that.
LOOKS_AT = 0.85
# Fraction of the cameras that have to agree.
AGREEMENT = 0.9
# Cameras from which the direction of most can be told, and the length of their mean direction up to which they stand
# around something: those that all look one way meet nowhere in particular.
MIN_CAMERAS = 6
MAX_MEAN_DIRECTION = 0.8
# Points of a scene that a camera sees lie in this cone around its axis (cosine). A camera with at most this fraction of
# them there looks elsewhere.
POINT_CONE = 0.8
MIN_POINT_FRACTION = 0.01
MIN_POINTS = 20
# Points that are looked at.
MAX_POINTS = 2000
# Largest difference of a matrix's last row from 0 0 0 1.
LAST_ROW_TOLERANCE = 1e-4
# Largest entry of |R^T R / s^2 - 1| of a rotation with a scale s.
SCALED_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class ScenePoses:
    """Poses of a scene, `[N, 3, 4]` float64, camera to world with OpenGL axes, and the factors `[3]` of its axes.

    `mirror` has a -1 where an axis of the file's coordinates was turned round, which holds for its points too.
    `convention`: as which the matrices were read.
    """

    poses: np.ndarray
    mirror: np.ndarray
    convention: Convention = "opengl"


def checked_poses(
    matrices: Sequence[object],
    names: Sequence[str],
    notes: list[str],
    convention: Convention | None = None,
    *,
    points: np.ndarray | None = None,
) -> ScenePoses:
    """The poses of matrices from a file.

    Repaired are, with a note: matrices written column by column, a scale of the axes, and poses of left-handed
    programs. World to camera is told from camera to world where only one of the two makes the cameras look at one
    place. Where only another convention has the scene's points before the cameras, that is taken. Cameras that look
    away from what they stand around may have OpenCV's axes, or stand in the middle of a room: that is said and not
    changed.

    Args:
        matrices: anything that numpy reads as 3 x 4 or 4 x 4 values.
        names: what messages call the frames.
        notes: gets a line for each decision.
        convention: how the matrices are to be read, instead of those decisions.
        points: `[N, 3]` on surfaces that the cameras see, in the file's coordinates.

    Raises BadInput, naming the frame, for matrices that are none of that.
    """
    rows = [_rows(matrix, name, notes) for matrix, name in zip(matrices, names)]
    rows = [_unscaled(row, name, notes) for row, name in zip(rows, names)]
    mirror = np.ones(3)
    if len(rows) > 1 and all(np.linalg.det(row[:, :3]) < 0 for row in rows):
        rows, mirror = _right_handed(np.stack(rows), notes)
    poses = np.stack([checked_pose(row, name, notes) for row, name in zip(rows, names)])
    if convention is not None:
        return ScenePoses(converted(poses, convention), mirror, convention)
    if converge(poses) < 1 - AGREEMENT and (found := _found(poses)) is not None:
        notes.append(
            "the cameras look at one place only if their matrices are taken from world to camera, and so they are "
            f"(`pose_convention={found}`; `pose_convention=opengl` takes them as they are)"
        )
        return ScenePoses(converted(poses, found), mirror, found)
    if points is not None and (found := _found_by_points(poses, points * mirror)) is not None:
        notes.append(
            f"the cameras have the scene's points before them only if their matrices are {CONVENTION_NAMES[found]}, "
            f"and so they are taken (`pose_convention={found}`; `pose_convention=opengl` takes them as they are)"
        )
        return ScenePoses(converted(poses, found), mirror, found)
    if look_away(poses):
        notes.append(LOOK_AWAY)
    return ScenePoses(poses, mirror)


def converted(poses: np.ndarray, convention: Convention) -> np.ndarray:
    """Poses `[N, 3, 4]` of a convention as camera to world with OpenGL axes.

    "opengl" and "opencv" are camera to world, with the camera's axes x right, y up, z backward, and x right, y down, z
    forward; "w2c" and "w2c-opencv" are world to camera with these axes.
    """
    if convention.startswith("w2c"):
        turned = poses[:, :, :3].transpose(0, 2, 1)
        poses = np.concatenate([turned, -turned @ poses[:, :, 3:]], axis=2)
    return poses * [1, -1, -1, 1] if convention.endswith("opencv") else poses


def converge(poses: np.ndarray) -> float:
    """Fraction of the cameras that look at the point nearest to all their axes; 0 where they all look one way."""
    cosines = _cosines(poses)
    return 0.0 if cosines is None else float((cosines > LOOKS_AT).mean())


def look_away(poses: np.ndarray) -> bool:
    """Whether nearly all cameras have the point nearest to all their axes straight behind them."""
    cosines = _cosines(poses)
    return cosines is not None and float((cosines < -LOOKS_AT).mean()) >= AGREEMENT


def _found_by_points(poses: np.ndarray, points: np.ndarray) -> Convention | None:
    """Another convention than "opengl", where only with that nearly all cameras see points `[N, 3]`; else None."""
    if len(points) < MIN_POINTS:
        return None
    points = points[:: -(-len(points) // MAX_POINTS)]
    if _seeing(poses, points) > 1 - AGREEMENT:
        return None
    best: Convention = max(CONVENTION_NAMES, key=lambda name: _seeing(converted(poses, name), points))
    return best if _seeing(converted(poses, best), points) >= AGREEMENT else None


def _seeing(poses: np.ndarray, points: np.ndarray) -> float:
    """Fraction of the cameras that have points in the cone around their axis."""
    count = 0
    for pose in poses:
        away = points - pose[:, 3]
        before = away @ -pose[:, 2] > POINT_CONE * np.linalg.norm(away, axis=1)
        count += before.mean() > MIN_POINT_FRACTION
    return count / len(poses)


def _cosines(poses: np.ndarray) -> np.ndarray | None:
    """Cosines `[N]` of the angles between axes and the direction to their common point; None where there is none."""
    forward = -poses[:, :, 2]
    if len(poses) < MIN_CAMERAS or np.linalg.norm(forward.mean(axis=0)) > MAX_MEAN_DIRECTION:
        return None
    away = focus_point(poses) - poses[:, :, 3]
    distances = np.linalg.norm(away, axis=1)
    if not distances.min() > 1e-9:
        return None
    return (away * forward).sum(axis=1) / distances


def _found(poses: np.ndarray) -> Convention | None:
    """World to camera, where that makes nearly all cameras look at one place."""
    conventions: tuple[Convention, ...] = ("w2c-opencv", "w2c")
    return next((name for name in conventions if converge(converted(poses, name)) >= AGREEMENT), None)


def _rows(matrix: object, name: str, notes: list[str]) -> np.ndarray:
    """The upper rows `[3, 4]` of a matrix, transposed where it was written column by column."""
    try:
        values = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape == (16,):
        values = values.reshape(4, 4)
    if values.shape not in ((3, 4), (4, 4)) or not np.isfinite(values).all():
        # Raises an error that says what is wrong.
        checked_pose(matrix, name, notes)
    if len(values) == 4 and not _ends(values[3]):
        if not _ends(values[:, 3]):
            raise BadInput(
                f"{name}: the last row of its camera's matrix is {' '.join(f'{v:g}' for v in values[3])}, not 0 0 0 1; "
                "export the poses again"
            )
        notes.append(f"{name}: its matrix was written column by column and is transposed")
        values = values.T
    return values[:3]


def _ends(row: np.ndarray) -> bool:
    return bool(np.abs(row - [0, 0, 0, 1]).max() <= LAST_ROW_TOLERANCE)


def _unscaled(rows: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """The matrix without a scale of its axes; other matrices, which are no rotations, as they are."""
    squared = rows[:, :3].T @ rows[:, :3]
    scale = np.sqrt(np.trace(squared) / 3)
    if not scale > 0 or abs(scale - 1) < SCALED_TOLERANCE:
        return rows
    if np.abs(squared / scale**2 - np.eye(3)).max() > SCALED_TOLERANCE:
        return rows
    notes.append(f"{name}: its camera's axes have a scale, which is left out")
    return np.concatenate([rows[:, :3] / scale, rows[:, 3:]], axis=1)


def _right_handed(rows: np.ndarray, notes: list[str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Mirrored matrices `[N, 3, 4]` as poses of a right-handed program, and the factors of the world's axes.

    Where the cameras look at one place, the coordinates of the world are left-handed; where they look away from it,
    the camera's z axis points forward.
    """
    if look_away(rows):
        notes.append("the cameras' z axes point forward, as in left-handed programs, and are turned round")
        return list(rows * [1, 1, -1, 1]), np.ones(3)
    if converge(rows) >= AGREEMENT:
        notes.append(
            "the poses are left-handed, as game engines have them: the scene's x axis is turned round, so that nothing "
            "is mirrored"
        )
        mirror = np.array([-1.0, 1.0, 1.0])
        return list(rows * mirror[:, None]), mirror
    return list(rows), np.ones(3)
