"""Files of camera paths: frames, key poses with a smooth path through them, or nerfstudio's camera paths."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Camera, Intrinsics, checked_pose
from scenes.posed.frame import camera_in, read_json_object
from scenes.posed.pose import UP, interpolate_poses, look_at, path_times

# Frames of a path through keys. More than an hour of video at 25 frames a second is taken for a mistake.
MAX_FRAMES = 100_000
# Frames for each key where a file gives no `count`.
FRAMES_PER_KEY = 30


def read_path(path: str | os.PathLike, default: Intrinsics | None = None) -> list[Camera]:
    """The cameras of a JSON file, one for each frame. Raises BadInput, naming the frame.

    The file has one of:
    * `frames`, each with a `transform_matrix`, as in a transforms file; no images are needed;
    * `keys`, each with a `transform_matrix`, or with `position` and `target`: a smooth path through them of `count`
      frames (by default 30 for each key), which returns to the first key where `closed` is true. `up` for all keys is
      an axis or three numbers, by default z. Intrinsics and time are interpolated too;
    * `camera_path`, as nerfstudio's viewer writes it.

    Intrinsics are as in a transforms file, or `fov`, the degrees from top to bottom. default: intrinsics for frames
    that give none.
    """
    path = Path(path)
    content = read_json_object(path)
    if "keys" in content:
        return _through_keys(path, content, default)
    kind = "camera_path" if "camera_path" in content else "frames"
    frames = _entries(path, content, kind)
    if kind == "camera_path":
        content = {"w": content.get("render_width"), "h": content.get("render_height")}
        frames = [_nerfstudio_frame(frame, f"{path.name}, frame {index}") for index, frame in enumerate(frames)]
    return [_camera(content, frame, f"{path.name}, frame {index}", default) for index, frame in enumerate(frames)]


def _entries(path: Path, content: dict, name: str) -> list[dict]:
    entries = content.get(name)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(
            f"{path}: has no list of {name}; a camera path has frames, each with a transform_matrix, keys, or a "
            "camera_path of nerfstudio"
        )
    return entries


def _camera(content: dict, frame: dict, name: str, default: Intrinsics | None) -> Camera:
    """The camera of a frame, in which `fov` may stand for the focal length."""
    merged = {
        key: value for key, value in (content | frame).items() if value is not None and key not in ("frames", "keys")
    }
    if "fov" in merged:
        angle, height = merged.pop("fov"), merged.get("h", default.height if default else None)
        if isinstance(angle, bool) or not isinstance(angle, (int, float)) or not 0 < angle < 180:
            raise BadInput(f"{name}: its fov is {angle!r}; fields of view are between 0 and 180 degrees")
        if not isinstance(height, (int, float)) or isinstance(height, bool) or not height > 0:
            raise BadInput(f"{name}: has no size (w and h in pixels)")
        merged["fl_x"] = merged["fl_y"] = 0.5 * height / math.tan(math.radians(angle) / 2)
    return camera_in(merged, name, default)


def _nerfstudio_frame(frame: dict, name: str) -> dict:
    """A frame of nerfstudio's camera path as a frame of a transforms file."""
    try:
        matrix = np.array(frame.get("camera_to_world"), np.float64).reshape(4, 4).tolist()
    except (TypeError, ValueError):
        raise BadInput(f"{name}: its camera_to_world is not 16 numbers") from None
    if frame.get("camera_type", "perspective") not in ("perspective", "PERSPECTIVE"):
        raise BadInput(f"{name}: cameras of the type {frame['camera_type']} are not supported; there is perspective")
    return {"transform_matrix": matrix, "fov": frame.get("fov"), "time": frame.get("render_time")}


def _through_keys(path: Path, content: dict, default: Intrinsics | None) -> list[Camera]:
    """The cameras of a smooth path through the `keys` of a file's content."""
    keys = _entries(path, content, "keys")
    closed, count = bool(content.get("closed", False)), content.get("count", FRAMES_PER_KEY * len(keys))
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_FRAMES:
        raise BadInput(f"{path}: its count is {count!r}; a path has 2 to {MAX_FRAMES:,} frames")
    if len(keys) < 2:
        raise BadInput(f"{path}: a path leads through two keys or more, not {len(keys)}")
    cameras = []
    for index, key in enumerate(keys):
        name = f"{path.name}, key {index}"
        if "transform_matrix" not in key:
            key = key | {"transform_matrix": _key_pose(key, content.get("up", "z"), name).tolist()}
        cameras.append(_camera(content, key, name, default))
    size = cameras[0].intrinsics.width, cameras[0].intrinsics.height
    cameras = [camera.resized(*size) for camera in cameras]
    if len({(camera.intrinsics.model, camera.intrinsics.distortion) for camera in cameras}) > 1:
        raise BadInput(f"{path}: its keys have several camera models; give all keys the same distortion")
    try:
        poses = interpolate_poses(np.stack([camera.pose for camera in cameras]), count, closed)
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None
    all_intrinsics, times = _interpolated(cameras, path_times(len(keys), count, closed), closed)
    return [Camera(*frame) for frame in zip(poses, all_intrinsics, times)]


def _interpolated(
    cameras: list[Camera], times: np.ndarray, closed: bool
) -> tuple[list[Intrinsics], list[float | None]]:
    """Intrinsics and times between those of key cameras, linearly; focal lengths in proportion."""
    first = cameras[0].intrinsics
    table = np.array(
        [
            [np.log(own.fl_x), np.log(own.fl_y), own.cx, own.cy, time or 0.0]
            for own, time in ((camera.intrinsics, camera.time) for camera in cameras)
        ]
    )
    if closed:
        table = np.concatenate([table, table[:1]])
    columns = [np.interp(times, np.arange(len(table)), column) for column in table.T]
    columns[:2] = [np.exp(column) for column in columns[:2]]
    fl_x, fl_y, cx, cy, moments = (column.tolist() for column in columns)
    all_intrinsics = [replace(first, fl_x=fx, fl_y=fy, cx=x, cy=y) for fx, fy, x, y in zip(fl_x, fl_y, cx, cy)]
    timed = any(camera.time is not None for camera in cameras)
    return all_intrinsics, [moment if timed else None for moment in moments]


def _key_pose(key: dict, up: object, name: str) -> np.ndarray:
    """The pose of a key that has a position and a target."""
    try:
        position, target = (np.asarray(key.get(part), np.float64) for part in ("position", "target"))
        upright = np.asarray(UP[up] if isinstance(up, str) else up, np.float64)
        if not position.shape == target.shape == upright.shape == (3,):
            raise ValueError
    except (TypeError, ValueError, KeyError):
        raise BadInput(
            f"{name}: has neither a transform_matrix nor a position and a target of three numbers each "
            "(and up an axis or three numbers)"
        ) from None
    try:
        return checked_pose(look_at(position, target, upright), name, [])
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from None
