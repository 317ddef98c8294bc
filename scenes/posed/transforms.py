"""`transforms.json`: the dialects of NeRF-synthetic (a file a split), instant-ngp and nerfstudio (lenses for all or each frame)."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.photographs import size_of
from scenes.posed.view import HELD_OUT, Intrinsics, PosedViews, View, checked_intrinsics, checked_pose

SPLITS = {"train": "train", "test": "test", "val": "val"}
MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV_FISHEYE")
ENDINGS = ("", ".png", ".jpg", ".jpeg", ".webp", ".exr")


def open_transforms(source: str | os.PathLike) -> PosedViews:
    """The views of a folder with `transforms.json` or `transforms_train.json` (and `_test`), or of such a file.

    Poses are camera to world with OpenGL axes, as every dialect has them. A frame of the file for testing is for testing;
    of files that know no split, every eighth is. `_val` files are passed over. Pictures are found, not read. Raises
    BadInput, one line that names the file or frame.
    """
    source = Path(source)
    if source.is_dir():
        files = {split: source / f"transforms_{split}.json" for split in ("train", "test")}
        if not files["train"].is_file():
            files = {"": source / "transforms.json"}
        if not next(iter(files.values())).is_file():
            raise BadInput(
                f"{source}: no transforms.json and no transforms_train.json in this folder; name one that has posed views"
            )
    else:
        split = source.stem.removeprefix("transforms").removeprefix("_")
        files = {split if split in SPLITS else "": source}
        if split == "train":
            files["test"] = source.with_name(source.name.replace("_train", "_test"))
    notes: list[str] = []
    views: list[View] = []
    scale = box = points = None
    for split, path in files.items():
        if split == "test" and not path.is_file():
            notes.append(f"{path.name} is not there: every {HELD_OUT}th view is held out")
            continue
        content = _content(path)
        scale = content.get("aabb_scale", scale)
        box = _box(path, content) if "box" in content else box
        if isinstance(cloud := content.get("ply_file_path"), str) and (path.parent / cloud).is_file():
            points = _points(path, cloud)
        chosen = _splits(path, content, notes) if not split else [split] * len(content["frames"])
        views += [
            _view(path, content, frame, which or "train", notes)
            for frame, which in zip(content["frames"], chosen)
            if which != "none"
        ]
    if len(views) < 2:
        raise BadInput(f"{source}: a scene needs two views or more, not {len(views)}")
    if not any(view.split == "test" for view in views):
        views = [View(**vars(view) | {"split": "train" if i % HELD_OUT else "test"}) for i, view in enumerate(views)]
    if not any(view.split == "train" for view in views):
        raise BadInput(f"{source}: all of its views are for testing; name the file for training or the folder")
    if scale is not None and not (isinstance(scale, (int, float)) and math.isfinite(scale) and scale > 0):
        raise BadInput(f"{source}: aabb_scale is a number above zero, not {scale!r}")
    return PosedViews(tuple(views), scale, notes, box, points)


def _splits(path: Path, content: dict, notes: list[str]) -> list[str]:
    """Which split each frame is in, where nerfstudio's lists of file names say so: "train", "test", "none", or "" where they are not there."""
    listed = {}
    for split in ("train", "val", "test"):
        names = content.get(f"{split}_filenames")
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise BadInput(f"{path}: its {split}_filenames is no list of names")
        listed[split] = set(names or ())
    testing = listed["test"] or listed["val"]
    if not testing:
        return [""] * len(content["frames"])
    names = [frame.get("file_path") for frame in content["frames"]]
    found = [
        "test" if name in testing else "train" if name in listed["train"] or not listed["train"] else "none"
        for name in names
    ]
    if left := found.count("none"):
        notes.append(f"{left} frames are in neither train_filenames nor those for testing, and are left out")
    return found


def _box(path: Path, content: dict) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    try:
        lower, upper = (tuple(map(float, corner)) for corner in content["box"])
        sound = len(lower) == len(upper) == 3 and all(-math.inf < a < b < math.inf for a, b in zip(lower, upper))
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise BadInput(f"{path}: its box is not a lower and an upper corner of three numbers each")
    return lower, upper


def _points(path: Path, cloud: str) -> np.ndarray:
    """The places of the point cloud that a transforms file names."""
    import trimesh

    if not (path.parent / cloud).resolve().is_relative_to(path.parent.resolve()):
        raise BadInput(f"{path}: its ply_file_path {cloud} lies outside of the scene's folder; copy the points into it")
    try:
        points = np.asarray(trimesh.load(path.parent / cloud, process=False).vertices, np.float64).reshape(-1, 3)
    except Exception as error:  # noqa: BLE001  (the reader raises whatever the bytes made it stumble over)
        raise BadInput(
            f"{path.parent / cloud}: is no point cloud that can be read; leave ply_file_path out or export it again"
        ) from error
    return points[np.isfinite(points).all(axis=1)]


def _content(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON ({str(error).splitlines()[0]}); export it again") from error
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("frames"), list)
        or not all(isinstance(f, dict) for f in content["frames"])
    ):
        raise BadInput(f"{path}: has no list of frames; a transforms file has one")
    return content


def _view(path: Path, content: dict, frame: dict, split: str, notes: list[str]) -> View:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name:
        raise BadInput(f"{path}: a frame has no file_path")
    where = f"{path.name}, {name}"
    picture = _picture(path, name, where)
    time = _number(frame, "time", where, None)
    if time is not None and not 0.0 <= time <= 1.0:
        raise BadInput(f"{where}: its time is {time:g}; times are between 0 and 1")
    mask = frame.get("mask_path")
    near, far = (_number(content | frame, key, where, None) for key in ("near", "far"))
    depths = (near, far) if near is not None and far is not None and 0 < near < far < math.inf else None
    return View(
        name,
        picture,
        checked_pose(frame.get("transform_matrix"), where, notes),
        _intrinsics(content | frame, picture, where),
        split,
        time,
        _picture(path, mask, where) if isinstance(mask, str) and mask else None,
        depths=depths,
    )


def _picture(path: Path, name: str, where: str) -> Path:
    """The file of a picture beside the transforms file, with the ending that the name may leave out."""
    for ending in ENDINGS:
        found = path.parent / (name + ending)
        if found.is_file():
            if not found.resolve().is_relative_to(path.parent.resolve()):
                raise BadInput(f"{where}: lies outside of the scene's folder; copy the picture into it")
            return found
    raise BadInput(f"{where}: no such picture beside {path.name}")


def _intrinsics(numbers: dict, picture: Path, where: str) -> Intrinsics:
    width, height = size_of(picture, where)
    for key, size in (("w", width), ("h", height)):
        said = _number(numbers, key, where, size)
        if said != size:
            raise BadInput(
                f"{where}: the picture is {width} x {height}, but its {key} is given as {said:g}; scale the lens with the pictures"
            )
    model = numbers.get("camera_model", "OPENCV")
    if model not in MODELS:
        raise BadInput(f"{where}: its camera_model {model} is not supported; there are {', '.join(MODELS)}")
    fl_x = _number(numbers, "fl_x", where, None)
    fl_y = _number(numbers, "fl_y", where, None)
    if fl_x is None:
        angle = _number(numbers, "camera_angle_x", where, None)
        if angle is None and fl_y is None:
            raise BadInput(f"{where}: neither fl_x nor camera_angle_x says what lens it has")
        if angle is not None and not 0.0 < angle < math.pi:
            raise BadInput(f"{where}: camera_angle_x is {angle:g}; angles are between 0 and pi")
        fl_x = fl_y if angle is None else 0.5 * width / math.tan(0.5 * angle)
    if (
        fl_y is None
        and (angle := _number(numbers, "camera_angle_y", where, None)) is not None
        and 0.0 < angle < math.pi
    ):
        fl_y = 0.5 * height / math.tan(0.5 * angle)
    fisheye = model == "OPENCV_FISHEYE" or bool(numbers.get("is_fisheye"))
    names = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2")
    distortion = tuple(_number(numbers, key, where, 0.0) for key in names)
    if not fisheye and any(_number(numbers, key, where, 0.0) for key in ("k3", "k4", "k5", "k6")):
        raise BadInput(f"{where}: a distortion with k3 and more is not supported; undistort the pictures first")
    kind = "fisheye" if fisheye else "opencv" if any(distortion) else "pinhole"
    return checked_intrinsics(
        Intrinsics(
            width,
            height,
            fl_x,
            fl_x if fl_y is None else fl_y,
            _number(numbers, "cx", where, width / 2),
            _number(numbers, "cy", where, height / 2),
            kind,
            distortion if kind != "pinhole" else (),
        ),
        where,
    )


def _number(numbers: dict, key: str, where: str, default: float | None) -> float | None:
    value = numbers.get(key, default)
    if value is default:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"{where}: its {key} is no number but {value!r}")
    return float(value)
