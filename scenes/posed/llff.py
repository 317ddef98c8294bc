"""LLFF folders (Mildenhall et al. 2019): `images/`, and `poses_bounds.npy` with 17 values for each image.

The values are in the order of the images' names.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import detect_format
from scenes.io.files import read_head
from scenes.posed.camera import Intrinsics, checked_intrinsics, checked_pose
from scenes.posed.photographs import image_size, same_aspect
from scenes.posed.view import PosedViews, View, check_views, split_of


def open_llff(source: str | os.PathLike) -> PosedViews:
    """The views of an LLFF folder; every eighth is for testing.

    A row of `poses_bounds.npy` is a 3 x 5 matrix (the camera's down, right and backward axes, its position, and the
    height, width and focal length in pixels), then the nearest and the farthest depth. Images of another resolution
    than the rows say scale the focal length. Raises BadInput, one line that names the file or image.
    """
    folder = Path(source)
    path = folder / "poses_bounds.npy"
    try:
        rows = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path}: is not an array of numbers; export it again") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.issubdtype(rows.dtype, np.number) or np.iscomplexobj(rows):
        raise BadInput(f"{path}: has {' x '.join(map(str, rows.shape))} values, not 17 for each image")
    images_folder = folder / "images"
    if not images_folder.is_dir():
        raise BadInput(f"{folder}: has poses_bounds.npy but no folder images")
    images = sorted(file for file in images_folder.iterdir() if file.is_file() and detect_format(read_head(file)))
    if len(images) != len(rows):
        raise BadInput(
            f"{path}: {len(rows)} rows for {len(images)} images in {images_folder}; they belong together by order, so "
            "none may be missing"
        )
    check_views(rows, folder)
    notes: list[str] = []
    views = [_view(i, row.astype(np.float64), image, notes) for i, (row, image) in enumerate(zip(rows, images))]
    return PosedViews(tuple(views), None, notes)


def _view(index: int, row: np.ndarray, image: Path, notes: list[str]) -> View:
    name = f"images/{image.name}"
    down, right, backward, position, (height, width, focal) = row[:15].reshape(3, 5).T
    pose = checked_pose(np.stack([right, -down, backward, position], axis=1), name, notes)
    w, h = image_size(image, name)
    if not (np.isfinite([height, width, focal]).all() and height >= 1 and width >= 1):
        raise BadInput(
            f"{name}: poses_bounds.npy gives it a size of {width:g} x {height:g} and a focal length of {focal:g}"
        )
    if not same_aspect(w, h, width, height):
        raise BadInput(
            f"{name}: the image is {w} x {h}, but poses_bounds.npy was made for the shape of {width:g} x {height:g}"
        )
    intrinsics = Intrinsics(w, h, fl_x=focal * w / width, fl_y=focal * h / height, cx=w / 2, cy=h / 2)
    near, far = row[15:]
    depths = (float(near), float(far)) if np.isfinite([near, far]).all() and 0 < near < far else None
    if depths is None:
        notes.append(f"{name}: its depths of {near:g} to {far:g} are not a range, and are ignored")
    return View(
        pose=pose,
        intrinsics=checked_intrinsics(intrinsics, name),
        name=name,
        split=split_of(index),
        image=image,
        depths=depths,
    )
