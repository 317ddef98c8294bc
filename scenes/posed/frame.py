"""Cameras as the frames of a transforms file: JSON objects with `transform_matrix`, `w`, `h`, `fl_x` and so on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import cast

from scenes.errors import BadInput
from scenes.posed.camera import (
    ARIA_COEFFICIENTS,
    FISHEYE_COEFFICIENTS,
    NUM_COEFFICIENTS,
    OPENCV_COEFFICIENTS,
    Camera,
    Intrinsics,
    checked_intrinsics,
    checked_pose,
)
from scenes.posed.view import View

# COLMAP's names of camera models that files have in `camera_model`.
CAMERA_MODELS = (
    "OPENCV",
    "FULL_OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV_FISHEYE",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
    "THIN_PRISM_FISHEYE",
    "SIMPLE_FISHEYE",
    "FISHEYE",
    "RAD_TAN_THIN_PRISM_FISHEYE",
    "FISHEYE624",
)
# Names of the lens with `ARIA_COEFFICIENTS`: COLMAP's and nerfstudio's.
ARIA_MODELS = ("RAD_TAN_THIN_PRISM_FISHEYE", "FISHEYE624")
# Coefficients in nerfstudio's list `distortion_params` of other lenses.
LISTED_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")
# What says the focal length of a frame.
FOCAL_KEYS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
# How much larger or smaller photographs are made after their lens was found, and how far from the middle of the image
# the optical axis of a lens is, at most, as a fraction of half its side.
SCALES = (2.0, 0.5, 4.0, 0.25, 8.0, 0.125, 3.0, 1 / 3)
AXIS_TOLERANCE = 0.12
# Numbers of pixels that differ by less, relative to each other, are the same up to rounding.
SAME_EXTENT = 0.01
# Longest side of an image that a camera without a photograph may ask for, in pixels.
MAX_SIDE = 65536


def read_json_object(path: Path) -> dict:
    """The object in a JSON file; an empty one where the file holds something else.

    Raises BadInput where the file cannot be read or is not JSON.
    """
    try:
        # From bytes: the reader then knows UTF-8 with a byte order mark, and UTF-16.
        content = json.loads(path.read_bytes())
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

    Read are `fl_x` or `camera_angle_x`, `fl_y` or `camera_angle_y` (one of the two axes suffices), `cx`, `cy`,
    `camera_model`, `is_fisheye` and the coefficients of distortion. Raises BadInput, naming the frame, where no focal
    length is given or the model is not supported.
    """
    model = str(frame.get("camera_model", "OPENCV")).upper()
    if model not in CAMERA_MODELS:
        raise BadInput(
            f"{name}: its camera_model {frame['camera_model']} is not supported; there are {', '.join(CAMERA_MODELS)}"
        )
    fl_x, fl_y = _focal_lengths(frame, width, height, name)
    frame = frame | _listed_coefficients(frame, model, name)
    cx, cy = number_in(frame, "cx", name), number_in(frame, "cy", name)
    lens = {
        "fl_x": fl_x,
        "fl_y": fl_y,
        "cx": width / 2 if cx is None else cx,
        "cy": height / 2 if cy is None else cy,
    }
    if model in ARIA_MODELS:
        coefficients = {key: number_in(frame, key, name) or 0.0 for key in ARIA_COEFFICIENTS}
        return checked_intrinsics(Intrinsics.aria(width, height, coefficients, **lens), name)
    fisheye = "FISHEYE" in model or bool(frame.get("is_fisheye"))
    names = FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS
    given = {key: number_in(frame, key, name) or 0.0 for key in {*FISHEYE_COEFFICIENTS, *OPENCV_COEFFICIENTS}}
    if fisheye and model != "THIN_PRISM_FISHEYE":
        # Other fisheye lenses have no tangential terms; files list them with all that there are.
        names = FISHEYE_COEFFICIENTS[:NUM_COEFFICIENTS]
    unknown = [key for key, value in sorted(given.items()) if value and key not in names]
    if not fisheye and model != "FULL_OPENCV":
        # Here programs differ: OpenCV divides by the terms of k4 to k6, others go on with higher powers.
        unknown += [key for key in ("k4", "k5", "k6") if given[key]]
    if unknown:
        raise BadInput(
            f"{name}: a distortion with {', '.join(unknown)} is not supported for the camera_model {model}; give "
            "FULL_OPENCV or THIN_PRISM_FISHEYE if it is that, or undistort the images first"
        )
    make = Intrinsics.fisheye if fisheye else Intrinsics.distorted
    return checked_intrinsics(make(width, height, {key: given[key] for key in names}, **lens), name)


def _listed_coefficients(frame: dict, model: str, name: str) -> dict[str, float]:
    """The coefficients in nerfstudio's list `distortion_params`, by their names; none where there is no such list."""
    listed = frame.get("distortion_params")
    if listed is None:
        return {}
    names = ARIA_COEFFICIENTS if model in ARIA_MODELS else LISTED_COEFFICIENTS
    numbers = [value for value in listed if isinstance(value, (int, float))] if isinstance(listed, list) else []
    if len(numbers) != len(names):
        raise BadInput(f"{name}: its distortion_params are not {len(names)} numbers ({', '.join(names)})")
    return dict(zip(names, map(float, numbers)))


def merged_frame(content: dict, frame: dict) -> dict:
    """A frame with what its file gives for all frames.

    A focal length or angle of the frame replaces all of the file's, and another size the file's optical axis.
    """
    shared = content
    if any(frame.get(key) is not None for key in FOCAL_KEYS):
        shared = {key: value for key, value in content.items() if key not in FOCAL_KEYS}
    sizes = [(content.get(key), frame.get(key)) for key in ("w", "h")]
    if any(None not in pair and pair[0] != pair[1] for pair in sizes):
        shared = {key: value for key, value in shared.items() if key not in ("w", "h", "cx", "cy")}
    return shared | {key: value for key, value in frame.items() if value is not None}


def written_size(
    frame: dict, stored: tuple[int, int], upright: tuple[int, int], name: str
) -> tuple[tuple[float, float] | None, bool]:
    """Width and height in pixels that the lens of a frame was written for, and whether they are a guess.

    They are `w` and `h`; else what a focal length and an angle of view together say; else, where the optical axis
    (`cx`, `cy`) is that of an image several times as large or small, the size of that: a guess. None where nothing
    tells.

    Args:
        stored, upright: width and height of the photograph's pixels as they are stored, and turned upright.
    """
    sizes = [stored] if stored == upright else [stored, upright]
    w, h = (_given_extent(frame, key, name) for key in ("w", "h"))
    if w is not None and h is not None:
        return (w, h), False
    for extent, axis, key in ((w, 0, "x"), (h, 1, "y")):
        implied = _implied_extent(frame, key, name) if extent is None else None
        factors = [(extent or implied or 0) / size[axis] for size in sizes]
        same = next((size for size, factor in zip(sizes, factors) if abs(factor - 1) < SAME_EXTENT), None)
        if same:
            return same, False
        if extent is not None or (implied and _scale(factors[0])):
            return (factors[0] * stored[0], factors[0] * stored[1]), False
    cx, cy = number_in(frame, "cx", name), number_in(frame, "cy", name)
    if not (cx and cy):
        return None, False
    factors = [_scale(2 * cx / width, 2 * cy / height) for width, height in sizes]
    if 1 in factors:
        # The middle of an oblong photograph says which of its sides is the width.
        return (None if len(sizes) == 1 else sizes[factors.index(1)]), False
    return (None, False) if factors[0] is None else ((factors[0] * stored[0], factors[0] * stored[1]), True)


def _scale(*ratios: float) -> float | None:
    """The factor by which images are made larger or smaller that is nearly all of the ratios; None where none is."""
    return next((f for f in (1, *SCALES) if all(abs(ratio / f - 1) < AXIS_TOLERANCE for ratio in ratios)), None)


def _given_extent(frame: dict, key: str, name: str) -> float | None:
    given = number_in(frame, key, name)
    if given is not None and not 1 <= given <= MAX_SIDE:
        raise BadInput(f"{name}: its {key} is {given:g}; an image has 1 to {MAX_SIDE} pixels along a side")
    return given


def _implied_extent(frame: dict, axis: str, name: str) -> float | None:
    """Pixels along an axis that its focal length and angle of view imply together; None where one is missing."""
    focal, angle = number_in(frame, f"fl_{axis}", name), number_in(frame, f"camera_angle_{axis}", name)
    if focal is None or angle is None or not (0 < angle < math.pi and 0 < focal < math.inf):
        return None
    return float(round(2 * focal * math.tan(angle / 2)))


def _focal_lengths(frame: dict, width: int, height: int, name: str) -> tuple[float, float]:
    found = []
    for axis, side in (("x", width), ("y", height)):
        focal, angle = number_in(frame, f"fl_{axis}", name), number_in(frame, f"camera_angle_{axis}", name)
        if focal is None and angle is not None:
            if not 0.0 < angle < math.pi:
                raise BadInput(f"{name}: camera_angle_{axis} is {angle:g}; angles are between 0 and pi")
            focal = 0.5 * side / math.tan(0.5 * angle)
        found.append(focal)
    x, y = found
    if x is None and y is None:
        raise BadInput(
            f"{name}: has neither fl_x nor camera_angle_x nor one of the other axis, so its focal length is not known"
        )
    return cast("float", y if x is None else x), cast("float", x if y is None else y)


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
    if default is not None and all(frame.get(key) is None for key in FOCAL_KEYS):
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
        aria = len(intrinsics.distortion) == len(ARIA_COEFFICIENTS)
        names = ARIA_COEFFICIENTS if aria else FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS
        frame |= dict(zip(names, intrinsics.distortion))
        more = len(intrinsics.distortion) > NUM_COEFFICIENTS
        if fisheye:
            frame["camera_model"] = ARIA_MODELS[0] if aria else "THIN_PRISM_FISHEYE" if more else "OPENCV_FISHEYE"
        else:
            frame["camera_model"] = "FULL_OPENCV" if more else "OPENCV"
    if camera.time is not None:
        frame["time"] = camera.time
    if isinstance(camera, View) and camera.depths is not None:
        frame["near"], frame["far"] = camera.depths
    return frame | {"transform_matrix": [*camera.pose.tolist(), [0.0, 0.0, 0.0, 1.0]]}
