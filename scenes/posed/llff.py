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
from scenes.posed.camera import Intrinsics, checked_pose
from scenes.posed.locate import DEPTH_FOLDERS, DYNAMIC_MASK, Masks, SceneFiles
from scenes.posed.photographs import Orientation, WrittenLens, matched_lenses
from scenes.posed.view import PosedViews, View, check_views, grouped_notes, split_of

# Names of the folder of photographs; the numbers are how much smaller they were made.
PHOTOGRAPH_FOLDERS = ("images", "images_2", "images_4", "images_8")


def open_llff(source: str | os.PathLike, orientation: Orientation | None = None) -> PosedViews:
    """The views of an LLFF folder; every eighth is for testing.

    A row of `poses_bounds.npy` is a 3 x 5 matrix (the camera's down, right and backward axes, its position, and the
    height, width and focal length in pixels), then the nearest and the farthest depth. Images of another resolution
    than the rows say scale the focal length.

    Args:
        orientation: whether poses belong to pixels as stored or turned upright; see `matched_lenses`.

    Raises BadInput, one line that names the file or image.
    """
    folder = Path(source)
    path = folder / "poses_bounds.npy"
    try:
        # Mapped first: a header that promises more than the file holds is refused before memory is taken for it.
        rows = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except Exception as error:  # noqa: BLE001  (numpy raises many types for damaged headers)
        raise BadInput(f"{path}: is not an array of numbers; export it again") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.issubdtype(rows.dtype, np.number) or np.iscomplexobj(rows):
        raise BadInput(f"{path}: has {' x '.join(map(str, rows.shape))} values, not 17 for each image")
    files = SceneFiles(folder)
    images_folder = next((place for name in PHOTOGRAPH_FOLDERS if (place := files.folder([name]))), None)
    if images_folder is None:
        raise BadInput(f"{folder}: has poses_bounds.npy but no folder images")
    images = sorted(
        file
        for file in images_folder.iterdir()
        if file.is_file() and not file.name.startswith(DYNAMIC_MASK) and detect_format(read_head(file))
    )
    if len(images) != len(rows):
        raise BadInput(
            f"{path}: {len(rows)} rows for {len(images)} images in {images_folder}; they belong together by order, so "
            "none may be missing"
        )
    check_views(images, folder)
    rows = rows.astype(np.float64)
    notes: list[str] = []
    if depths := files.folder(DEPTH_FOLDERS):
        notes.append(f"the pictures of depths in {depths.name} are not used")
    lenses = matched_lenses([_lens(row, image) for row, image in zip(rows, images)], notes, orientation)
    masks = Masks(files, [image.name for image in images])
    views = [
        View(
            pose=_pose(row, f"images/{image.name}", notes),
            intrinsics=intrinsics,
            name=f"images/{image.name}",
            split=split_of(index),
            image=image,
            upright=upright,
            mask=masks.find(image.name, image),
            depths=_depths(row, f"images/{image.name}", notes),
        )
        for index, (row, image, (intrinsics, upright)) in enumerate(zip(rows, images, lenses))
    ]
    masks.note(notes)
    return PosedViews(tuple(views), None, grouped_notes(notes))


def _pose(row: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    down, right, backward, position, _ = row[:15].reshape(3, 5).T
    return checked_pose(np.stack([right, -down, backward, position], axis=1), name, notes)


def _lens(row: np.ndarray, image: Path) -> WrittenLens:
    name = f"images/{image.name}"
    height, width, focal = map(float, row[:15].reshape(3, 5)[:, 4])
    if not (np.isfinite([height, width, focal]).all() and height >= 1 and width >= 1):
        raise BadInput(
            f"{name}: poses_bounds.npy gives it a size of {width:g} x {height:g} and a focal length of {focal:g}"
        )

    def intrinsics(w: int, h: int) -> Intrinsics:
        return Intrinsics(w, h, fl_x=focal * w / width, fl_y=focal * h / height, cx=w / 2, cy=h / 2)

    return WrittenLens(name, image, (width, height), intrinsics)


def _depths(row: np.ndarray, name: str, notes: list[str]) -> tuple[float, float] | None:
    near, far = map(float, row[15:])
    if np.isfinite([near, far]).all() and 0 < near < far:
        return near, far
    notes.append(f"{name}: its depths of {near:g} to {far:g} are not a range, and are ignored")
    return None
