"""`transforms.json` in the dialects of NeRF-synthetic, instant-ngp and nerfstudio.

NeRF-synthetic has a file for each split; nerfstudio may have intrinsics for each frame, and lists of the splits.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics, checked_pose
from scenes.posed.frame import intrinsics_in, number_in, read_json_object, time_in
from scenes.posed.photographs import image_size
from scenes.posed.view import TEST_EVERY, Box, PosedViews, View, check_views, split_of

SPLITS = ("train", "val", "test")
# Endings of an image that `file_path` may leave out, in the order in which they are tried.
IMAGE_ENDINGS = ("", ".png", ".jpg", ".jpeg", ".webp", ".exr")


def open_transforms(source: str | os.PathLike) -> PosedViews:
    """The views of a folder with `transforms.json` or `transforms_train.json` (and `_test`), or of such a file.

    Poses are camera to world with OpenGL axes, as in every dialect. Frames of the file for testing are for testing;
    where the files have no splits, every eighth view is. Files for validation are ignored. Images are located and not
    read. Raises BadInput, one line that names the file or frame.
    """
    source = Path(source)
    notes: list[str] = []
    views: list[View] = []
    scale = box = points = None
    for split, path in _split_files(source).items():
        if split == "test" and not path.is_file():
            notes.append(f"{path.name} does not exist: every {TEST_EVERY}th view is held out")
            continue
        content = _content(path)
        scale = content.get("aabb_scale", scale)
        box = _box(path, content) if "box" in content else box
        if isinstance(cloud := content.get("ply_file_path"), str) and (path.parent / cloud).is_file():
            points = _points(path, cloud)
        splits = [split] * len(content["frames"]) if split else _listed_splits(path, content, notes)
        views += [
            _view(path, content, frame, frame_split or "train", notes)
            for frame, frame_split in zip(content["frames"], splits)
            if frame_split != "none"
        ]
    check_views(views, source)
    if not any(view.split == "test" for view in views):
        views = [replace(view, split=split_of(index)) for index, view in enumerate(views)]
    if not any(view.split == "train" for view in views):
        raise BadInput(f"{source}: all of its views are for testing; name the file for training or the folder")
    if scale is not None and not (isinstance(scale, (int, float)) and math.isfinite(scale) and scale > 0):
        raise BadInput(f"{source}: aabb_scale is a number above zero, not {scale!r}")
    return PosedViews(tuple(views), scale, notes, box, points=points)


def _split_files(source: Path) -> dict[str, Path]:
    """The transforms file of each split; "" where one file holds all splits."""
    if source.is_dir():
        files = {split: source / f"transforms_{split}.json" for split in ("train", "test")}
        if files["train"].is_file():
            return files
        if not (source / "transforms.json").is_file():
            raise BadInput(
                f"{source}: no transforms.json and no transforms_train.json in this folder; name one that "
                "has posed views"
            )
        return {"": source / "transforms.json"}
    split = source.stem.removeprefix("transforms").removeprefix("_")
    files = {split if split in SPLITS else "": source}
    if split == "train":
        files["test"] = source.with_name(source.name.replace("_train", "_test"))
    return files


def _listed_splits(path: Path, content: dict, notes: list[str]) -> list[str]:
    """The split of each frame by nerfstudio's lists of file names.

    It is "train", "test" or "none"; all splits are "" where there are no lists.
    """
    listed = {}
    for split in SPLITS:
        names = content.get(f"{split}_filenames")
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise BadInput(f"{path}: its {split}_filenames is not a list of names")
        listed[split] = set(names or ())
    testing = listed["test"] or listed["val"]
    if not testing:
        return [""] * len(content["frames"])
    names = [frame.get("file_path") for frame in content["frames"]]
    splits = [
        "test" if name in testing else "train" if name in listed["train"] or not listed["train"] else "none"
        for name in names
    ]
    if left_out := splits.count("none"):
        notes.append(f"{left_out} frames are in neither train_filenames nor those for testing, and are left out")
    return splits


def _box(path: Path, content: dict) -> Box:
    try:
        corners = np.array(content["box"], np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.shape != (2, 3) or not np.isfinite(corners).all() or not (corners[0] < corners[1]).all():
        raise BadInput(f"{path}: its box is not a lower and an upper corner of three numbers each")
    x0, y0, z0, x1, y1, z1 = map(float, corners.reshape(-1))
    return (x0, y0, z0), (x1, y1, z1)


def _points(path: Path, cloud: str) -> np.ndarray:
    """The points `[N, 3]` of the point cloud that a transforms file names."""
    import trimesh

    if not (path.parent / cloud).resolve().is_relative_to(path.parent.resolve()):
        raise BadInput(f"{path}: its ply_file_path {cloud} lies outside of the scene's folder; copy the points into it")
    try:
        loaded = trimesh.load(path.parent / cloud, process=False)
        if not isinstance(loaded, (trimesh.Trimesh, trimesh.PointCloud)):
            raise TypeError("neither a mesh nor a point cloud")
        points = np.asarray(loaded.vertices, np.float64).reshape(-1, 3)
    except Exception as error:  # noqa: BLE001  (trimesh raises many types for damaged bytes)
        raise BadInput(
            f"{path.parent / cloud}: is not a point cloud that can be read; leave ply_file_path out or export it again"
        ) from error
    return points[np.isfinite(points).all(axis=1)]


def _content(path: Path) -> dict:
    content = read_json_object(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise BadInput(f"{path}: has no list of frames; a transforms file has one")
    return content


def _view(path: Path, content: dict, frame: dict, split: str, notes: list[str]) -> View:
    """The view of a frame; `content` is the file's object, whose entries hold for all frames."""
    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path:
        raise BadInput(f"{path}: a frame has no file_path")
    name = f"{path.name}, {file_path}"
    image = _image(path, file_path, name)
    mask = frame.get("mask_path")
    merged = content | frame
    near, far = number_in(merged, "near", name), number_in(merged, "far", name)
    depths = None
    if near is not None and far is not None and 0 < near < far < math.inf:
        depths = near, far
    return View(
        pose=checked_pose(frame.get("transform_matrix"), name, notes),
        intrinsics=_intrinsics(merged, image, name),
        time=time_in(frame, name),
        name=file_path,
        split=split,
        image=image,
        mask=_image(path, mask, name) if isinstance(mask, str) and mask else None,
        depths=depths,
    )


def _image(path: Path, file_path: str, name: str) -> Path:
    """The image beside the transforms file that `file_path` names, with or without its ending."""
    for ending in IMAGE_ENDINGS:
        found = path.parent / (file_path + ending)
        if found.is_file():
            if not found.resolve().is_relative_to(path.parent.resolve()):
                raise BadInput(f"{name}: lies outside of the scene's folder; copy the image into it")
            return found
    raise BadInput(f"{name}: no such image beside {path.name}")


def _intrinsics(frame: dict, image: Path, name: str) -> Intrinsics:
    """The intrinsics of a frame. Raises BadInput where `w` and `h` are not the size of its image."""
    width, height = image_size(image, name)
    for key, size in (("w", width), ("h", height)):
        given = number_in(frame, key, name)
        if given not in (None, size):
            raise BadInput(
                f"{name}: the image is {width} x {height}, but its {key} is given as {given:g}; scale the intrinsics "
                "with the images"
            )
    return intrinsics_in(frame, width, height, name)
