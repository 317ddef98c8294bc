"""Cameras without pictures: those of a scene, kept beside a run, and paths that a person wrote; as in `transforms.json`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes
from scenes.posed.rays import directions_of
from scenes.posed.view import Intrinsics, View, checked_intrinsics, checked_pose
from scenes.posed.write import FISHEYE, OPENCV, frame_of

# What a run keeps of its scene.
CAMERAS = "cameras.json"
# Numbers that differ by less stand for the same camera.
SAME = 1e-5


@dataclass(frozen=True)
class PathCamera:
    """pose `[3, 4]` float64: camera to world, OpenGL axes; lens as in `View`; time in [0, 1] or None. split: as in `View`, or empty."""

    pose: np.ndarray
    intrinsics: Intrinsics
    time: float | None = None
    name: str = ""
    split: str = ""

    def looks_like(self, view: View) -> bool:
        """Whether this is a view's camera, at its moment."""
        reach = SAME * max(1.0, float(np.abs(view.pose[:, 3]).max()))
        return abs((view.time or 0.0) - (self.time or 0.0)) < SAME and bool(np.abs(view.pose - self.pose).max() < reach)

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Origins and unit directions `[H * W, 3]` float64 in the scene's axes, row by row."""
        y, x = np.mgrid[0 : self.intrinsics.height, 0 : self.intrinsics.width]
        directions = directions_of(self.intrinsics, x.reshape(-1) + 0.5, y.reshape(-1) + 0.5) @ self.pose[:, :3].T
        return np.broadcast_to(self.pose[:, 3], directions.shape), directions


def resized(intrinsics: Intrinsics, width: int, height: int) -> Intrinsics:
    """The same lens for a picture of another size; where its shape is another too, the whole of the shorter direction stays in it."""
    scale = max(width / intrinsics.width, height / intrinsics.height)
    x, y = (width - scale * intrinsics.width) / 2, (height - scale * intrinsics.height) / 2
    return Intrinsics(
        width,
        height,
        scale * intrinsics.fl_x,
        scale * intrinsics.fl_y,
        scale * intrinsics.cx + x,
        scale * intrinsics.cy + y,
        intrinsics.model,
        intrinsics.distortion,
    )


def write_cameras(path: str | os.PathLike, views: Iterable[View]) -> None:
    """The cameras of views, those for testing first, in the form that `read_cameras` reads."""
    frames = [
        {"name": view.name, "split": view.split, **frame_of(view)}
        for view in sorted(views, key=lambda view: view.split != "test")
    ]
    atomic_write_bytes(Path(path), (json.dumps({"frames": frames}, indent=1) + "\n").encode())


def read_cameras(path: str | os.PathLike, default: Intrinsics | None = None) -> list[PathCamera]:
    """The cameras of a file: `frames`, each with `transform_matrix`; `w`, `h`, `fl_x` (or `camera_angle_x`), `time` in the frame or
    for all. What says nothing of its lens has the `default` one. Raises BadInput, naming the frame."""
    return cameras_in(read_content(Path(path)), str(path), default)


def cameras_in(content: dict, name: str, default: Intrinsics | None = None) -> list[PathCamera]:
    """The cameras of what such a file called `name` holds."""
    if (
        not isinstance(content.get("frames"), list)
        or not content["frames"]
        or not all(isinstance(frame, dict) for frame in content["frames"])
    ):
        raise BadInput(f"{name}: has no list of frames; a camera path has one, each with a transform_matrix")
    return [
        camera_of(content | frame, f"{Path(name).name}, frame {index}", default)
        for index, frame in enumerate(content["frames"])
    ]


def read_content(path: Path) -> dict:
    """The object that a JSON file holds, empty for anything else; BadInput where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON ({str(error).splitlines()[0]})") from None
    return content if isinstance(content, dict) else {}


def camera_of(frame: dict, name: str, default: Intrinsics | None) -> PathCamera:
    """The camera of a frame as in `read_cameras`; BadInput, naming it, where it is none."""

    def number(key: str, fallback: float | None) -> float | None:
        value = frame.get(key, fallback)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        ):
            raise BadInput(f"{name}: its {key} is no number but {value!r}")
        return value

    pose = checked_pose(frame.get("transform_matrix"), name, [])
    time = number("time", None)
    if time is not None and not 0.0 <= time <= 1.0:
        raise BadInput(f"{name}: its time is {time:g}; times are between 0 and 1")
    width, height = (number(key, getattr(default, long, None)) for key, long in (("w", "width"), ("h", "height")))
    if width is None or height is None or not (1 <= width <= 65536 and 1 <= height <= 65536):
        raise BadInput(f"{name}: gives no size (w and h in pixels)")
    width, height = int(width), int(height)
    angle, focal = number("camera_angle_x", None), number("fl_x", None)
    if focal is None and angle is None:
        if default is None:
            raise BadInput(f"{name}: neither fl_x nor camera_angle_x says what lens it has")
        return PathCamera(
            pose, resized(default, width, height), time, str(frame.get("name", "")), str(frame.get("split", ""))
        )
    if focal is None:
        if not 0.0 < angle < math.pi:
            raise BadInput(f"{name}: camera_angle_x is {angle:g}; angles are between 0 and pi")
        focal = 0.5 * width / math.tan(0.5 * angle)
    fisheye = frame.get("camera_model") == "OPENCV_FISHEYE"
    distortion = tuple(float(number(key, 0.0)) for key in (FISHEYE if fisheye else OPENCV))
    model = "fisheye" if fisheye else "opencv" if any(distortion) else "pinhole"
    intrinsics = checked_intrinsics(
        Intrinsics(
            width,
            height,
            focal,
            number("fl_y", focal),
            number("cx", width / 2),
            number("cy", height / 2),
            model,
            distortion if model != "pinhole" else (),
        ),
        name,
    )
    return PathCamera(pose, intrinsics, time, str(frame.get("name", "")), str(frame.get("split", "")))


def around(cameras: list[PathCamera], count: int, intrinsics: Intrinsics) -> list[PathCamera]:
    """`count` cameras once around what the given ones look at, at their mean distance and height, their mean up direction upright."""
    places = np.stack([camera.pose[:, 3] for camera in cameras])
    backward = np.stack([camera.pose[:, 2] for camera in cameras])
    up = np.mean([camera.pose[:, 1] for camera in cameras], axis=0)
    axis = np.eye(3)[int(np.abs(up).argmax())] * np.sign(up[int(np.abs(up).argmax())])
    length = float(np.linalg.norm(up))
    # Scenes have their own upright more often than an axis that is none.
    up = axis if length < 1e-6 or up @ axis > 0.9 * length else up / length
    across = np.eye(3) - backward[:, :, None] * backward[:, None, :]
    weight = 1e-3 * len(cameras)
    centre = np.linalg.solve(
        across.sum(0) + weight * np.eye(3), (across @ places[:, :, None]).sum(0)[:, 0] + weight * places.mean(0)
    )
    height = (places - centre) @ up
    radius = float(np.linalg.norm(places - centre - height[:, None] * up, axis=1).mean())
    side = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    side /= np.linalg.norm(side)
    front = np.cross(up, side)
    found = []
    for index in range(count):
        angle = 2 * math.pi * index / count
        place = centre + up * float(height.mean()) + radius * (math.cos(angle) * side + math.sin(angle) * front)
        found.append(PathCamera(_looking(place, centre, up), intrinsics, index / count))
    return found


def _looking(place: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    backward = place - target
    backward = backward / np.linalg.norm(backward)
    right = np.cross(up, backward)
    if np.linalg.norm(right) < 1e-6:
        raise BadInput(
            "the cameras are all straight above what they look at, so there is no way around it; give --path CAMERAS.json"
        )
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward, place], axis=1)
