"""LLFF folders (Mildenhall et al. 2019): `images/` and `poses_bounds.npy`, a row of 17 numbers a picture in the order of the names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import sniff
from scenes.io.files import read_head
from scenes.posed.photographs import size_of
from scenes.posed.view import HELD_OUT, Intrinsics, PosedViews, View, checked_intrinsics, checked_pose


def open_llff(source: str | os.PathLike) -> PosedViews:
    """The views of such a folder; every eighth is for testing.

    A row is a 3 x 5 matrix (the camera's down, right and backward axes, its place, and height, width and focal length in
    pixels) and the nearest and farthest depth. Pictures of another size than the rows say scale the focal length. Raises
    BadInput, one line that names the file or picture.
    """
    folder = Path(source)
    path = folder / "poses_bounds.npy"
    try:
        rows = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path}: is no array of numbers; export it again") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.issubdtype(rows.dtype, np.number) or np.iscomplexobj(rows):
        raise BadInput(f"{path}: has {' x '.join(map(str, rows.shape))} values, not 17 a picture")
    images = folder / "images"
    if not images.is_dir():
        raise BadInput(f"{folder}: has poses_bounds.npy but no folder images")
    pictures = sorted(p for p in images.iterdir() if p.is_file() and sniff(read_head(p)))
    if len(pictures) != len(rows):
        raise BadInput(
            f"{path}: {len(rows)} rows for {len(pictures)} pictures in {images}; they belong together by order, so none may be missing"
        )
    if len(rows) < 2:
        raise BadInput(f"{folder}: a scene needs two views or more, not {len(rows)}")
    notes: list[str] = []
    views = [_view(i, row.astype(np.float64), picture, notes) for i, (row, picture) in enumerate(zip(rows, pictures))]
    return PosedViews(tuple(views), None, notes)


def _view(number: int, row: np.ndarray, picture: Path, notes: list[str]) -> View:
    name = f"images/{picture.name}"
    down, right, backward, place, (height, width, focal) = row[:15].reshape(3, 5).T
    pose = checked_pose(np.stack([right, -down, backward, place], axis=1), name, notes)
    w, h = size_of(picture, name)
    if not (np.isfinite([height, width, focal]).all() and height >= 1 and width >= 1):
        raise BadInput(
            f"{name}: poses_bounds.npy gives it a size of {width:g} x {height:g} and a focal length of {focal:g}"
        )
    if abs(w / width - h / height) > 0.02 * w / width:
        raise BadInput(
            f"{name}: the picture is {w} x {h}, but poses_bounds.npy was made for the shape of {width:g} x {height:g}"
        )
    intrinsics = checked_intrinsics(Intrinsics(w, h, focal * w / width, focal * h / height, w / 2, h / 2), name)
    near, far = row[15:]
    if not (np.isfinite([near, far]).all() and 0 < near < far):
        notes.append(f"{name}: its depths of {near:g} to {far:g} are none, and are passed over")
        return View(name, picture, pose, intrinsics, "train" if number % HELD_OUT else "test")
    return View(
        name, picture, pose, intrinsics, "train" if number % HELD_OUT else "test", depths=(float(near), float(far))
    )
