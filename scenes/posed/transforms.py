"""`transforms.json` in the dialects of NeRF-synthetic, instant-ngp and nerfstudio.

NeRF-synthetic has a file for each split; nerfstudio may have intrinsics for each frame, and lists of the splits.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.posed.conventions import Convention, checked_poses
from scenes.posed.frame import intrinsics_in, merged_frame, number_in, read_json_object, time_in, written_size
from scenes.posed.locate import DEPTH_FOLDERS, Masks, SceneFiles, file_in
from scenes.posed.photographs import Orientation, WrittenLens, image_header, matched_lenses
from scenes.posed.points import read_points
from scenes.posed.view import TEST_EVERY, Box, PosedViews, View, check_views, grouped_notes, split_of

SPLITS = ("train", "val", "test")
# How the note begins that says what becomes of a scene without views for training, which is of interest to a fit only.
ALL_FOR_TESTING = "all views are for testing"
# Keys of a frame that name a picture of depths.
DEPTH_KEYS = ("depth_file_path", "depth_path", "depth_file")


@dataclass(frozen=True)
class _Frame:
    """A frame of a transforms file: `content` with what the file says for all frames, its photograph and its mask."""

    content: dict[str, Any]
    name: str
    split: str
    image: Path
    mask: Path | None


def open_transforms(
    source: str | os.PathLike, orientation: Orientation | None = None, convention: Convention | None = None
) -> PosedViews:
    """The views of a folder with `transforms.json` or `transforms_train.json` (and `_test`), or of such a file.

    Poses are camera to world with OpenGL axes, as in every dialect. Frames of the file for testing are for testing,
    else those of the file for validation; where the files have no splits, every eighth view is. Images are located and
    not read.

    Args:
        orientation: whether poses belong to pixels as stored or turned upright; see `matched_lenses`.
        convention: of the matrices; see `checked_poses`.

    Raises BadInput, one line that names the file or frame.
    """
    source = Path(source)
    notes: list[str] = []
    frames: list[_Frame] = []
    scale = box = points = None
    contents = {split: (path, _content(path)) for split, path in _split_files(source, notes).items()}
    all_frames = [frame for _, content in contents.values() for frame in content["frames"]]
    files = SceneFiles(source if source.is_dir() else source.parent)
    masks = Masks(
        files,
        [str(frame.get("file_path")) for frame in all_frames],
        from_folder=not any(frame.get("mask_path") for frame in all_frames),
    )
    for split, (path, content) in contents.items():
        scale = content.get("aabb_scale", scale)
        box = _box(path, content) if "box" in content else box
        if isinstance(cloud := content.get("ply_file_path"), str) and (found := files.find(cloud, exact=True)):
            points = _points(path, found)
        splits = [split] * len(content["frames"]) if split else _listed_splits(path, content, notes)
        frames += [
            _frame(path, content, frame, frame_split or "train", files, masks)
            for frame, frame_split in zip(content["frames"], splits)
            if frame_split != "none"
        ]
    masks.note(notes)
    _note_other_pictures(all_frames, files, notes)
    check_views(frames, source)
    names = [frame.name for frame in frames]
    scene = checked_poses(
        [frame.content.get("transform_matrix") for frame in frames], names, notes, convention, points=points
    )
    lenses = matched_lenses([_lens(frame) for frame in frames], notes, orientation)
    views = [_view(frame, pose, *lens) for frame, pose, lens in zip(frames, scene.poses, lenses)]
    views = _with_splits(views, notes)
    if scale is not None and not (isinstance(scale, (int, float)) and math.isfinite(scale) and scale > 0):
        raise BadInput(f"{source}: aabb_scale is a number above zero, not {scale!r}")
    if points is not None:
        points = points * scene.mirror
    return PosedViews(
        tuple(views),
        scale,
        grouped_notes(notes),
        _mirrored(box, scene.mirror),
        points=points,
        convention=scene.convention,
    )


def _with_splits(views: list[View], notes: list[str]) -> list[View]:
    """The views with some for testing and some for training."""
    splits = {view.split for view in views}
    if splits == {"test"}:
        notes.append(f"{ALL_FOR_TESTING}: every {TEST_EVERY}th is held out, and the others are for training")
    return views if len(splits) == 2 else [replace(view, split=split_of(i)) for i, view in enumerate(views)]


def _split_files(source: Path, notes: list[str]) -> dict[str, Path]:
    """The transforms file of each split; "" where one file holds all splits."""
    if source.is_dir():
        files = {split: file_in(source, f"transforms_{split}.json") for split in SPLITS}
        whole = file_in(source, "transforms.json")
        if whole is not None and files["train"] is None:
            return {"": whole}
        if not any(files.values()):
            raise BadInput(
                f"{source}: no transforms.json and no transforms_train.json in this folder; name one that "
                "has posed views"
            )
        return _chosen_files(files, notes)
    split = source.stem.lower().removeprefix("transforms").removeprefix("_")
    if split != "train":
        return {split if split == "test" else "": source}
    start = source.name[: -len("train.json")]
    others = {other: file_in(source.parent, f"{start}{other}.json") for other in ("val", "test")}
    return _chosen_files({"train": source} | others, notes)


def _chosen_files(files: dict[str, Path | None], notes: list[str]) -> dict[str, Path]:
    """Of the files of three splits those for training and testing; validation takes the place of what is missing."""
    train, validation, test = (files[split] for split in SPLITS)
    if test is None and validation is not None and train is not None:
        notes.append(f"there is no transforms_test.json: the views of {validation.name} are for testing")
        test = validation
    elif test is None and train is not None:
        notes.append(f"transforms_test.json does not exist: every {TEST_EVERY}th view is held out")
    if train is None and test is None:
        test = validation
    return {split: path for split, path in (("train", train), ("test", test)) if path is not None}


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
    # (A path that is no text is refused later, with the number of its frame.)
    names = [str(frame.get("file_path")) for frame in content["frames"]]
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


def _mirrored(box: Box | None, mirror: np.ndarray) -> Box | None:
    """The box in coordinates whose axes are multiplied by 1 or -1."""
    if box is None or (mirror > 0).all():
        return box
    corners = np.array(box) * mirror
    x0, y0, z0 = map(float, corners.min(axis=0))
    x1, y1, z1 = map(float, corners.max(axis=0))
    return (x0, y0, z0), (x1, y1, z1)


def _points(path: Path, cloud: Path) -> np.ndarray:
    """The points `[N, 3]` of the point cloud that a transforms file names."""
    if not cloud.resolve().is_relative_to(path.parent.resolve()):
        raise BadInput(
            f"{path}: its ply_file_path {cloud.name} lies outside of the scene's folder; copy the points into it"
        )
    return read_points(cloud, "leave ply_file_path out or export it again")


def _content(path: Path) -> dict:
    content = read_json_object(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise BadInput(f"{path}: has no list of frames; a transforms file has one")
    return content


def _frame(path: Path, content: dict, frame: dict, split: str, files: SceneFiles, masks: Masks) -> _Frame:
    """A frame with its photograph and mask.

    `content` is the file's object, whose entries hold for all frames. `masks`: where those are that no frame names.
    """
    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path:
        raise BadInput(f"{path}: a frame has no file_path")
    name = f"{path.name}, {file_path}"
    image = _located(path, file_path, name, files)
    mask_path = frame.get("mask_path")
    if isinstance(mask_path, str) and mask_path:
        mask = _located(path, mask_path, name, files)
    else:
        mask = masks.find(file_path, image)
    return _Frame(merged_frame(content, frame) | {"file_path": file_path}, name, split, image, mask)


def _located(path: Path, file_path: str, name: str, files: SceneFiles) -> Path:
    """The image beside the transforms file that `file_path` names."""
    found = files.find(file_path)
    if found is None:
        raise BadInput(f"{name}: no such image beside {path.name}")
    if not found.resolve().is_relative_to(path.parent.resolve()):
        raise BadInput(f"{name}: lies outside of the scene's folder; copy the image into it")
    return found


def _note_other_pictures(frames: list[dict], files: SceneFiles, notes: list[str]) -> None:
    folder = files.folder(DEPTH_FOLDERS)
    if folder is not None or any(key in frame for frame in frames for key in DEPTH_KEYS):
        notes.append(f"the pictures of depths{f' in {folder.name}' if folder else ''} are not used")


def _lens(frame: _Frame) -> WrittenLens:
    header = image_header(frame.image, frame.name)
    size, guessed = written_size(frame.content, header.stored, header.upright, frame.name)
    return WrittenLens(
        frame.name, frame.image, size, lambda w, h: intrinsics_in(frame.content, w, h, frame.name), guessed
    )


def _view(frame: _Frame, pose: np.ndarray, intrinsics: Any, upright: bool) -> View:
    near, far = (number_in(frame.content, key, frame.name) for key in ("near", "far"))
    depths = None
    if near is not None and far is not None and 0 < near < far < math.inf:
        depths = near, far
    return View(
        pose=pose,
        intrinsics=intrinsics,
        time=time_in(frame.content, frame.name),
        name=frame.content["file_path"],
        split=frame.split,
        image=frame.image,
        upright=upright,
        mask=frame.mask,
        depths=depths,
    )
