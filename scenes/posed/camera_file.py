"""Files of cameras without photographs: what a run keeps of its scene."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.frame import camera_in, frame_of, read_json_object
from scenes.posed.view import View

# Name of the file in a run's folder.
CAMERAS_FILE = "cameras.json"


def write_cameras(path: str | os.PathLike, views: Iterable[View]) -> None:
    """Write the cameras of views, those for testing first, in the form that `read_cameras` reads."""
    frames = [
        {"name": view.name, "split": view.split, **frame_of(view)}
        for view in sorted(views, key=lambda view: view.split != "test")
    ]
    atomic_write_bytes(Path(path), (json.dumps({"frames": frames}, indent=1) + "\n").encode())


def read_cameras(path: str | os.PathLike, default: Intrinsics | None = None) -> list[Camera]:
    """The cameras of a JSON file with a list `frames`, each with a `transform_matrix`.

    `w`, `h`, `fl_x` (or `camera_angle_x`) and `time` are in the frame, or beside the list for all frames. default:
    intrinsics for frames that give none. Raises BadInput, naming the frame.
    """
    return cameras_in(read_json_object(Path(path)), str(path), default)


def cameras_in(content: dict, name: str, default: Intrinsics | None = None) -> list[Camera]:
    """The cameras in the content of such a file; `name` is what messages call the file."""
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise BadInput(f"{name}: has no list of frames; a camera path has one, each with a transform_matrix")
    return [
        camera_in(content | frame, f"{Path(name).name}, frame {index}", default) for index, frame in enumerate(frames)
    ]
