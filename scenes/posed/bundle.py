"""An `.npz` with everything in it: images, poses, one focal length and, for scenes that move, times."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.view import HELD_OUT, Lens, PosedViews, View, checked_lens, checked_pose


def open_bundle(source: str | os.PathLike) -> PosedViews:
    """The views of such a file; every eighth is for testing.

    `images` `[N, H, W, 3 or 4]`, uint8 or floating in [0, 1]; `poses` `[N, 3 or 4, 4]`, camera to world, OpenGL axes;
    `focal`, pixels; `times` `[N]` in [0, 1], if there are. Raises BadInput, one line that names the file or view.
    """
    path = Path(source)
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in ("images", "poses", "focal", "times") if name in file.files}
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: is no .npz of plain arrays; export it again") from error
    missing = [name for name in ("images", "poses", "focal") if name not in held]
    if missing:
        raise BadInput(f"{path}: has no {' and no '.join(missing)}; posed views are images, poses and focal")
    images, poses, focal = held["images"], held["poses"], held["focal"]
    if images.ndim != 4 or images.shape[-1] not in (3, 4) or 0 in images.shape:
        raise BadInput(f"{path}: its images are {list(images.shape)}, not [views, height, width, 3 or 4]")
    if len(poses) != len(images) or ("times" in held and held["times"].shape != (len(images),)):
        raise BadInput(f"{path}: {len(images)} images, {len(poses)} poses" + (f", times {list(held['times'].shape)}" if "times" in held else "")
                       + "; there must be one of each a view")
    if len(images) < 2:
        raise BadInput(f"{path}: a scene needs two views or more, not {len(images)}")
    if focal.size != 1 or not np.issubdtype(focal.dtype, np.number):
        raise BadInput(f"{path}: its focal is no number")
    times = held.get("times")
    if times is not None and not ((times >= 0) & (times <= 1)).all():
        raise BadInput(f"{path}: its times are not all between 0 and 1")
    images = _bytes(images, path)
    notes: list[str] = []
    height, width = images.shape[1:3]
    lens = checked_lens(Lens(width, height, *[float(focal.reshape(-1)[0])] * 2, width / 2, height / 2), str(path))
    views = []
    for i, image in enumerate(images):
        name = f"{path.name}, view {i}"
        if image.shape[-1] == 4 and not image[..., 3].any():
            raise BadInput(f"{name}: is transparent all over; leave the view out")
        views.append(View(name, None, checked_pose(poses[i], name, notes), lens, "train" if i % HELD_OUT else "test",
                          None if times is None else float(times[i]), pixels=image))
    return PosedViews(tuple(views), None, notes)


def _bytes(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating) or not np.isfinite(images).all() or images.min() < 0.0 or images.max() > 1.0:
        raise BadInput(f"{path}: its images are {images.dtype}; they must be uint8, or floating numbers from 0 to 1")
    return np.round(images * 255.0).astype(np.uint8)
