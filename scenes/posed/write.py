"""A posed scene as a folder that other programs open too: pictures, and `transforms.json` in nerfstudio's dialect."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, atomic_write_bytes
from scenes.posed.view import PosedViews, View

OPENCV, FISHEYE = ("k1", "k2", "p1", "p2"), ("k1", "k2", "k3", "k4")
POINTS = "points.ply"


def write_scene(folder: str | os.PathLike, scene: PosedViews, one_file: bool = False) -> None:
    """Writes `transforms_train.json`, `transforms_test.json` and their pictures; points, where there are any, as `points.ply`.

    one_file: one `transforms.json` instead, in which lists of file names say what is for training and what for testing.

    Pictures in files are copied as they are, others become PNG. Masks come along; what is known of depths and of the box does
    too. BadInput where the folder is not empty or cannot be written.
    """
    folder = Path(folder)
    check_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = _names(scene.views)
        content = {
            "aabb_scale": scene.aabb_scale,
            "ply_file_path": POINTS if scene.points is not None else None,
            "box": scene.box,
        }
        content = {key: value for key, value in content.items() if value is not None}
        frames = {
            split: [_frame(folder, split, view, name) for view, name in zip(scene.views, names) if view.split == split]
            for split in ("train", "test")
        }
        if one_file:
            lists = {f"{split}_filenames": [frame["file_path"] for frame in some] for split, some in frames.items()}
            _write(folder / "transforms.json", content | lists | {"frames": frames["train"] + frames["test"]})
        else:
            for split, some in frames.items():
                _write(folder / f"transforms_{split}.json", content | {"frames": some})
        if scene.points is not None:
            atomic_write_bytes(folder / POINTS, _ply(scene.points))
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror or error}") from error


def _write(path: Path, content: dict) -> None:
    atomic_write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def check_empty(folder: str | os.PathLike) -> None:
    """BadInput where something is in the way."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: is there already and not empty; name a new folder with --out")


def frame_of(view: View) -> dict:
    """A view's camera as a frame of a transforms file."""
    intrinsics = view.intrinsics
    frame = {
        "w": intrinsics.width,
        "h": intrinsics.height,
        "fl_x": intrinsics.fl_x,
        "fl_y": intrinsics.fl_y,
        "cx": intrinsics.cx,
        "cy": intrinsics.cy,
    }
    if intrinsics.model != "pinhole":
        frame |= dict(zip(FISHEYE if intrinsics.model == "fisheye" else OPENCV, intrinsics.distortion))
        frame["camera_model"] = "OPENCV_FISHEYE" if intrinsics.model == "fisheye" else "OPENCV"
    if view.time is not None:
        frame["time"] = view.time
    if view.depths is not None:
        frame |= {"near": view.depths[0], "far": view.depths[1]}
    return frame | {"transform_matrix": [*view.pose.tolist(), [0.0, 0.0, 0.0, 1.0]]}


def _names(views: tuple[View, ...]) -> list[str]:
    """A file name a view without ending, each once."""
    names: list[str] = []
    for number, view in enumerate(views):
        stem = Path(view.picture.name if view.picture else view.name).stem
        stem = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in stem).strip(". ") or "view"
        names.append(f"{stem}_{number:04}" if stem in names else stem)
    return names


def _frame(folder: Path, split: str, view: View, name: str) -> dict:
    (folder / split).mkdir(exist_ok=True)
    if view.picture is not None:
        place = f"{split}/{name}{view.picture.suffix.lower()}"
        shutil.copyfile(view.picture, folder / place)
    else:
        from PIL import Image

        place = f"{split}/{name}.png"
        with atomic_write(folder / place) as temporary:
            Image.fromarray(view.read()).save(temporary)
    frame = {"file_path": place}
    if view.mask is not None:
        (folder / "masks").mkdir(exist_ok=True)
        frame["mask_path"] = f"masks/{split}_{name}{view.mask.suffix.lower()}"
        shutil.copyfile(view.mask, folder / frame["mask_path"])
    return frame | frame_of(view)


def _ply(points: np.ndarray) -> bytes:
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\nproperty double x\nproperty double y\nproperty double z\nend_header\n"
    return head.encode() + points.astype("<f8").tobytes()
