"""An `.npz` with everything in it: images, poses, one focal length and, for scenes that move, times."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.npz import array_headers
from scenes.posed.view import (
    HELD_OUT,
    MAX_PIXELS,
    Intrinsics,
    PosedViews,
    View,
    check_size,
    checked_intrinsics,
    checked_pose,
)

NAMES = ("images", "poses", "focal", "times")


def open_bundle(source: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> PosedViews:
    """The views of such a file; every eighth is for testing.

    `images` `[N, H, W, 3 or 4]`, uint8 or floating in [0, 1]; `poses` `[N, 3 or 4, 4]`, camera to world, OpenGL axes;
    `focal`, pixels; `times` `[N]` in [0, 1], if there are. Shapes are looked at before anything is unpacked; more than `max_pixels` in
    all is refused. Raises BadInput, one line that names the file or view.
    """
    path = Path(source)
    try:
        shapes = {name: shape for name, (shape, _) in array_headers(path).items() if name in NAMES}
        _check(path, shapes, max_pixels)
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[f"{name}.npy"] for name in shapes}
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except Exception as error:  # noqa: BLE001  (whatever numpy and the zip's library raise of bytes that are something else)
        raise BadInput(f"{path}: is no .npz of plain arrays; export it again") from error
    images, poses, focal, times = (held.get(name) for name in NAMES)
    if times is not None and not ((times >= 0) & (times <= 1)).all():
        raise BadInput(f"{path}: its times are not all between 0 and 1")
    images = _bytes(images, path)
    notes: list[str] = []
    height, width = images.shape[1:3]
    intrinsics = checked_intrinsics(
        Intrinsics(width, height, *[float(focal.reshape(-1)[0])] * 2, width / 2, height / 2), str(path)
    )
    views = []
    for i, image in enumerate(images):
        name = f"{path.name}, view {i}"
        if image.shape[-1] == 4 and not image[..., 3].any():
            raise BadInput(f"{name}: is transparent all over; leave the view out")
        views.append(
            View(
                name,
                None,
                checked_pose(poses[i], name, notes),
                intrinsics,
                "train" if i % HELD_OUT else "test",
                None if times is None else float(times[i]),
                pixels=image,
            )
        )
    return PosedViews(tuple(views), None, notes)


def _check(path: Path, shapes: dict[str, tuple[int, ...]], max_pixels: int) -> None:
    """BadInput where arrays of these shapes are no posed views, or too many."""
    missing = [name for name in NAMES[:3] if name not in shapes]
    if missing:
        raise BadInput(
            f"{path}: has no {' and no '.join(missing)}; posed views are plain arrays: images, poses and focal"
        )
    images, poses, focal, times = (shapes.get(name) for name in NAMES)
    if len(images) != 4 or images[-1] not in (3, 4) or 0 in images:
        raise BadInput(f"{path}: its images are {list(images)}, not [views, height, width, 3 or 4]")
    count = images[0]
    if poses[:1] != (count,) or times not in (None, (count,)):
        raise BadInput(
            f"{path}: {count} images, {poses[0] if poses else 0} poses"
            + (f", times {list(times)}" if times is not None else "")
            + "; there must be one of each a view"
        )
    if poses[1:] not in ((3, 4), (4, 4)):
        raise BadInput(f"{path}: its poses are {list(poses)}, not [views, 3 or 4, 4]")
    if count < 2:
        raise BadInput(f"{path}: a scene needs two views or more, not {count}")
    if math.prod(focal) != 1:
        raise BadInput(f"{path}: its focal is no number")
    check_size(path, count, math.prod(images[:3]), max_pixels)


def _bytes(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating) or not (images.min() >= 0.0 and images.max() <= 1.0):
        raise BadInput(f"{path}: its images are {images.dtype}; they must be uint8, or floating numbers from 0 to 1")
    return np.stack([np.round(image * 255.0).astype(np.uint8) for image in images])
