"""Where cameras go: looking at something, smoothly through key poses, and along the paths that files hold."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.cameras import PathCamera, camera_of, read_content, resized
from scenes.posed.view import Intrinsics, checked_pose

UP = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def looking_at(position, target, up: str | tuple[float, float, float] | np.ndarray = "z") -> np.ndarray:
    """The pose `[3, 4]` float64 (camera to world, OpenGL axes) of a camera at `position` that sees `target` in the middle and
    the direction `up` (an axis's name or a vector) upright. ValueError where it would look straight along `up`."""
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
        raise ValueError(
            f"a way leads through two poses [K, 3, 4] or more and has two frames or more, not {list(poses.shape)} and {count}"
        )
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


MAX_FRAMES = 100_000


def read_path(path: str | os.PathLike, default: Intrinsics | None = None) -> list[PathCamera]:
    """The cameras of a JSON file, one a frame. Raises BadInput, naming the frame.

    The file is one of:
    * `frames`, each with a `transform_matrix`: as in a transforms file; no pictures are needed;
    * `keys`, each with a `transform_matrix`, or `position` and `target` (`up` for all: an axis or three numbers, by default z): a smooth way
      through them of `count` frames (by default 30 a key), once around to the first again where `closed` is true. Lens and time go along;
    * `camera_path`, as nerfstudio's viewer writes it.

    A lens is as in a transforms file, or `fov`, degrees from top to bottom; what says nothing of it has the `default` one.
    """
    path = Path(path)
    content = read_content(path)
    if "keys" in content:
        return _through_keys(path, content, default)
    kind = "camera_path" if "camera_path" in content else "frames"
    frames = _list(path, content, kind)
    if kind == "camera_path":
        content = {"w": content.get("render_width"), "h": content.get("render_height")}
        frames = [_nerfstudio(frame, f"{path.name}, frame {index}") for index, frame in enumerate(frames)]
    return [_camera(content, frame, f"{path.name}, frame {index}", default) for index, frame in enumerate(frames)]


def _list(path: Path, content: dict, name: str) -> list[dict]:
    entries = content.get(name)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(
            f"{path}: has no list of {name}; a camera path has frames, each with a transform_matrix, keys, or a camera_path of nerfstudio"
        )
    return entries


def _camera(content: dict, frame: dict, name: str, default: Intrinsics | None) -> PathCamera:
    """One camera; `fov` stands for a focal length."""
    merged = {
        key: value for key, value in (content | frame).items() if value is not None and key not in ("frames", "keys")
    }
    if "fov" in merged:
        angle, height = merged.pop("fov"), merged.get("h", default.height if default else None)
        if isinstance(angle, bool) or not isinstance(angle, (int, float)) or not 0 < angle < 180:
            raise BadInput(f"{name}: its fov is {angle!r}; fields of view are between 0 and 180 degrees")
        if not isinstance(height, (int, float)) or isinstance(height, bool) or not height > 0:
            raise BadInput(f"{name}: gives no size (w and h in pixels)")
        merged["fl_x"] = merged["fl_y"] = 0.5 * height / math.tan(math.radians(angle) / 2)
    return camera_of(merged, name, default)


def _nerfstudio(frame: dict, name: str) -> dict:
    matrix = frame.get("camera_to_world")
    try:
        matrix = np.array(matrix, np.float64).reshape(4, 4).tolist()
    except (TypeError, ValueError):
        raise BadInput(f"{name}: its camera_to_world is not 16 numbers") from None
    if frame.get("camera_type", "perspective") not in ("perspective", "PERSPECTIVE"):
        raise BadInput(f"{name}: cameras of the type {frame['camera_type']} are not supported; there is perspective")
    return {"transform_matrix": matrix, "fov": frame.get("fov"), "time": frame.get("render_time")}


def _through_keys(path: Path, content: dict, default: Intrinsics | None) -> list[PathCamera]:
    keys = _list(path, content, "keys")
    closed, count = bool(content.get("closed", False)), content.get("count", 30 * len(keys))
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_FRAMES:
        raise BadInput(f"{path}: its count is {count!r}; a path has 2 to {MAX_FRAMES:,} frames")
    if len(keys) < 2:
        raise BadInput(f"{path}: a path leads through two keys or more, not {len(keys)}")
    cameras = []
    for index, key in enumerate(keys):
        name = f"{path.name}, key {index}"
        if "transform_matrix" not in key:
            key = key | {"transform_matrix": _placed(key, content.get("up", "z"), name).tolist()}
        cameras.append(_camera(content, key, name, default))
    size = cameras[0].intrinsics.width, cameras[0].intrinsics.height
    all_intrinsics = [resized(camera.intrinsics, *size) for camera in cameras]
    if any(
        (intrinsics.model, intrinsics.distortion) != (all_intrinsics[0].model, all_intrinsics[0].distortion)
        for intrinsics in all_intrinsics
    ):
        raise BadInput(f"{path}: its keys have lenses of several kinds; give all the same distortion")
    try:
        poses = between(np.stack([camera.pose for camera in cameras]), count, closed)
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None
    at = np.arange(count) * (len(keys) / count) if closed else np.linspace(0, len(keys) - 1, count)
    numbers = np.array(
        [
            [np.log(intrinsics.fl_x), np.log(intrinsics.fl_y), intrinsics.cx, intrinsics.cy, camera.time or 0.0]
            for intrinsics, camera in zip(all_intrinsics, cameras)
        ]
    )
    if closed:
        numbers = np.concatenate([numbers, numbers[:1]])
    along = np.stack([np.interp(at, np.arange(len(numbers)), column) for column in numbers.T], axis=1)
    timed = any(camera.time is not None for camera in cameras)
    return [
        PathCamera(
            pose,
            replace(all_intrinsics[0], fl_x=float(np.exp(fx)), fl_y=float(np.exp(fy)), cx=float(cx), cy=float(cy)),
            float(time) if timed else None,
        )
        for pose, (fx, fy, cx, cy, time) in zip(poses, along)
    ]


def _placed(key: dict, up, name: str) -> np.ndarray:
    try:
        place, target = (np.asarray(key.get(what), np.float64) for what in ("position", "target"))
        upright = np.asarray(UP[up] if isinstance(up, str) else up, np.float64)
        if not place.shape == target.shape == upright.shape == (3,):
            raise KeyError
    except (TypeError, ValueError, KeyError):
        raise BadInput(
            f"{name}: has neither a transform_matrix nor a position and a target of three numbers each (and up an axis or three numbers)"
        ) from None
    try:
        return checked_pose(looking_at(place, target, upright), name, [])
    except ValueError as error:
        raise BadInput(f"{name}: {error}" if not isinstance(error, BadInput) else str(error)) from None
