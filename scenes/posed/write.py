"""A posed scene as a folder that other programs open too: images, and `transforms.json` in nerfstudio's dialect."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, atomic_write_bytes, holds_anything
from scenes.posed.frame import frame_of
from scenes.posed.view import PosedViews, View
from scenes.shape.writers.ply import write_ply

POINTS_FILE = "points.ply"


def write_scene(
    folder: str | os.PathLike,
    scene: PosedViews,
    one_file: bool = False,
    progress: Callable[[float], None] = lambda done: None,
) -> None:
    """Write `transforms_train.json`, `transforms_test.json`, the images, the masks, and the points as `points.ply`.

    Image files are copied, pixels become PNG files. Raises BadInput where the folder is not empty or cannot be written.

    Args:
        one_file: write one `transforms.json` instead, with lists of the file names for training and for testing.
        progress: called with the fraction of the views that are written.
    """
    folder = Path(folder)
    check_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = _file_names(scene.views)
        content = {
            "aabb_scale": scene.aabb_scale,
            "ply_file_path": POINTS_FILE if scene.points is not None else None,
            "box": scene.box,
        }
        content = {key: value for key, value in content.items() if value is not None}
        frames: dict[str, list[dict]] = {"train": [], "test": []}
        for index, (view, name) in enumerate(zip(scene.views, names)):
            frames[view.split].append(_write_view(folder, view, name))
            progress((index + 1) / len(scene.views))
        if one_file:
            lists = {f"{split}_filenames": [frame["file_path"] for frame in some] for split, some in frames.items()}
            _write_json(folder / "transforms.json", content | lists | {"frames": frames["train"] + frames["test"]})
        else:
            for split, some in frames.items():
                _write_json(folder / f"transforms_{split}.json", content | {"frames": some})
        if scene.points is not None:
            write_ply(folder / POINTS_FILE, {axis: scene.points[:, k].astype("<f8") for k, axis in enumerate("xyz")})
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror or error}") from error


def check_empty(folder: str | os.PathLike) -> None:
    """Raises BadInput where the folder exists and is not empty, or is a file."""
    folder = Path(folder)
    if holds_anything(folder):
        raise BadInput(f"{folder}: exists and is not empty; name a new folder with `out=DIR`")


def _write_json(path: Path, content: dict) -> None:
    atomic_write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def _file_names(views: tuple[View, ...]) -> list[str]:
    """A file name without ending for each view, no two alike."""
    names: list[str] = []
    for index, view in enumerate(views):
        stem = Path(view.image.name if view.image else view.name).stem
        stem = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in stem).strip(". ") or "view"
        names.append(f"{stem}_{index:04}" if stem in names else stem)
    return names


def _write_view(folder: Path, view: View, name: str) -> dict:
    """Write the image and the mask of a view. Returns the frame of the transforms file."""
    (folder / view.split).mkdir(exist_ok=True)
    if view.image is not None and not view.upright:
        file_path = f"{view.split}/{name}{view.image.suffix.lower()}"
        shutil.copyfile(view.image, folder / file_path)
    else:
        from PIL import Image

        file_path = f"{view.split}/{name}.png"
        with atomic_write(folder / file_path) as temporary:
            Image.fromarray(view.read_image()).save(temporary)
    frame = {"file_path": file_path}
    if (mask := view.read_mask()) is not None:
        from PIL import Image

        (folder / "masks").mkdir(exist_ok=True)
        frame["mask_path"] = f"masks/{view.split}_{name}.png"
        with atomic_write(folder / frame["mask_path"]) as temporary:
            Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
    return frame | frame_of(view)
