"""Cameras as the frames of a transforms file: JSON objects with `transform_matrix`, `w`, `h`, `fl_x` and so on."""

from __future__ import annotations

import json
import math
from pathlib import Path

from scenes.errors import BadInput
from scenes.posed.camera import (
    FISHEYE_COEFFICIENTS,
    OPENCV_COEFFICIENTS,
    Camera,
    Intrinsics,
    checked_intrinsics,
    checked_pose,
)
from scenes.posed.view import View

# COLMAP's names of camera models that files have in `camera_model`.
CAMERA_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV_FISHEYE")
# Longest side of an image that a camera without a photograph may ask for, in pixels.
MAX_SIDE = 65536


def read_json_object(path: Path) -> dict:
    """The object in a JSON file; an empty one where the file holds something else.

    Raises BadInput where the file cannot be read or is not JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON ({str(error).splitlines()[0]}); export it again") from None
    return content if isinstance(content, dict) else {}


def number_in(frame: dict, key: str, name: str) -> float | None:
    """A number of a frame; None where the key is missing. Raises BadInput where the value is not a number.

    Infinity and NaN, which Python's JSON reader accepts, are returned.
    """
    value = frame.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"{name}: its {key} is not a number but {value!r}")
    return float(value)


def time_in(frame: dict, name: str) -> float | None:
    """The time of a frame, in [0, 1], or None."""
    time = number_in(frame, "time", name)
    if time is not None and not 0.0 <= time <= 1.0:
        raise BadInput(f"{name}: its time is {time:g}; times are between 0 and 1")
    return time


def intrinsics_in(frame: dict, width: int, height: int, name: str) -> Intrinsics:
    """The intrinsics that a frame gives for an image of `width` x `height` pixels.

    Read are `fl_x` or `camera_angle_x` (else `fl_y`), `fl_y` or `camera_angle_y` (else the same as x), `cx`, `cy`,
    `camera_model`, `is_fisheye` and the coefficients of distortion. Raises BadInput, naming the frame, where no focal
    length is given or the model is not supported.
    """
    model = frame.get("camera_model", "OPENCV")
    if model not in CAMERA_MODELS:
        raise BadInput(f"{name}: its camera_model {model} is not supported; there are {', '.join(CAMERA_MODELS)}")
    fl_x, fl_y = _focal_lengths(frame, width, height, name)
    fisheye = model == "OPENCV_FISHEYE" or bool(frame.get("is_fisheye"))
    if not fisheye and any(number_in(frame, key, name) for key in ("k3", "k4", "k5", "k6")):
        raise BadInput(f"{name}: a distortion with k3 and more is not supported; undistort the images first")
    coefficients = FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS
    distortion = tuple(number_in(frame, key, name) or 0.0 for key in coefficients)
    kind = "fisheye" if fisheye else "opencv" if any(distortion) else "pinhole"
    cx, cy = number_in(frame, "cx", name), number_in(frame, "cy", name)
    intrinsics = Intrinsics(
        width,
        height,
        fl_x=fl_x,
        fl_y=fl_y,
        cx=width / 2 if cx is None else cx,
        cy=height / 2 if cy is None else cy,
        model=kind,
        distortion=() if kind == "pinhole" else distortion,
    )
    return checked_intrinsics(intrinsics, name)


def _focal_lengths(frame: dict, width: int, height: int, name: str) -> tuple[float, float]:
    fl_x, fl_y = number_in(frame, "fl_x", name), number_in(frame, "fl_y", name)
    if fl_x is None and (angle := number_in(frame, "camera_angle_x", name)) is not None:
        if not 0.0 < angle < math.pi:
            raise BadInput(f"{name}: camera_angle_x is {angle:g}; angles are between 0 and pi")
        fl_x = 0.5 * width / math.tan(0.5 * angle)
    if fl_x is None:
        fl_x = fl_y
    if fl_x is None:
        raise BadInput(f"{name}: has neither fl_x nor camera_angle_x, so its focal length is not known")
    angle = number_in(frame, "camera_angle_y", name)
    if fl_y is None and angle is not None and 0.0 < angle < math.pi:
        fl_y = 0.5 * height / math.tan(0.5 * angle)
    return fl_x, fl_x if fl_y is None else fl_y


def camera_in(frame: dict, name: str, default: Intrinsics | None) -> Camera:
    """The camera of a frame without a photograph.

    Args:
        default: intrinsics for a frame that gives no focal length, resized to the frame's `w` and `h`; also the size
            where the frame gives none.

    Raises BadInput, naming the frame, where something is missing or wrong.
    """
    pose = checked_pose(frame.get("transform_matrix"), name, [])
    time = time_in(frame, name)
    width, height = number_in(frame, "w", name), number_in(frame, "h", name)
    if default is not None:
        width, height = default.width if width is None else width, default.height if height is None else height
    if width is None or height is None or not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BadInput(f"{name}: has no size (w and h in pixels)")
    width, height = int(width), int(height)
    if default is not None and frame.get("fl_x") is None and frame.get("camera_angle_x") is None:
        intrinsics = default.resized(width, height)
    else:
        intrinsics = intrinsics_in(frame, width, height, name)
    return Camera(pose, intrinsics, time, name=str(frame.get("name", "")), split=str(frame.get("split", "")))


def frame_of(camera: Camera) -> dict:
    """The frame of a camera, as `camera_in` reads it; of a view with its depths."""
    intrinsics = camera.intrinsics
    frame: dict = {
        "w": intrinsics.width,
        "h": intrinsics.height,
        "fl_x": intrinsics.fl_x,
        "fl_y": intrinsics.fl_y,
        "cx": intrinsics.cx,
        "cy": intrinsics.cy,
    }
    if intrinsics.model != "pinhole":
        fisheye = intrinsics.model == "fisheye"
        frame |= dict(zip(FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS, intrinsics.distortion))
        frame["camera_model"] = "OPENCV_FISHEYE" if fisheye else "OPENCV"
    if camera.time is not None:
        frame["time"] = camera.time
    if isinstance(camera, View) and camera.depths is not None:
        frame["near"], frame["far"] = camera.depths
    return frame | {"transform_matrix": [*camera.pose.tolist(), [0.0, 0.0, 0.0, 1.0]]}
