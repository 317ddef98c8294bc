"""An `.npz` file that holds a whole scene: images, poses, one focal length and, for scenes that move, times."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.npz import array_shapes, read_arrays
from scenes.posed.camera import Intrinsics, checked_intrinsics
from scenes.posed.conventions import Convention, checked_poses
from scenes.posed.view import (
    MAX_PIXELS,
    PosedViews,
    View,
    check_not_transparent,
    check_size,
    check_views,
    grouped_notes,
    split_of,
)

ARRAYS = ("images", "poses", "focal", "times")


def open_bundle(
    source: str | os.PathLike, max_pixels: int = MAX_PIXELS, convention: Convention | None = None
) -> PosedViews:
    """The views of such a file; every eighth is for testing.

    Arrays of the file: `images` `[N, H, W, 3 or 4]`, uint8 or floating in [0, 1]; `poses` `[N, 3 or 4, 4]`, camera to
    world with OpenGL axes; `focal`, pixels; and, optional, `times` `[N]` in [0, 1].

    Shapes are checked before anything is unpacked. Raises BadInput, one line that names the file or view, also where
    the images have more than `max_pixels` pixels in all.
    """
    path = Path(source)
    try:
        shapes = {name: shape for name, shape in array_shapes(path).items() if name in ARRAYS}
        _check_shapes(path, shapes, max_pixels)
        arrays = read_arrays(path, shapes)
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    except Exception as error:  # noqa: BLE001  (numpy and the zip's library raise many types for bytes that are something else)
        raise BadInput(f"{path}: is not an .npz of plain arrays; export it again") from error
    images, times = _as_bytes(arrays["images"], path), arrays.get("times")
    if times is not None and not ((times >= 0) & (times <= 1)).all():
        raise BadInput(f"{path}: its times are not all between 0 and 1")
    notes: list[str] = []
    height, width = images.shape[1:3]
    intrinsics = Intrinsics.pinhole(width, height, float(arrays["focal"].reshape(-1)[0]))
    intrinsics = checked_intrinsics(intrinsics, str(path))
    names = [f"{path.name}, view {index}" for index in range(len(images))]
    scene = checked_poses(list(arrays["poses"]), names, notes, convention)
    views = []
    for index, (pixels, name) in enumerate(zip(images, names)):
        check_not_transparent(pixels, name)
        views.append(
            View(
                pose=scene.poses[index],
                intrinsics=intrinsics,
                time=None if times is None else float(times[index]),
                name=name,
                split=split_of(index),
                pixels=pixels,
            )
        )
    return PosedViews(tuple(views), None, grouped_notes(notes), convention=scene.convention)


def _check_shapes(path: Path, shapes: dict[str, tuple[int, ...]], max_pixels: int) -> None:
    """Raises BadInput where arrays of these shapes are not posed views, or have more than `max_pixels` pixels."""
    missing = [name for name in ARRAYS[:3] if name not in shapes]
    if missing:
        raise BadInput(
            f"{path}: has no {' and no '.join(missing)}; posed views are plain arrays: images, poses and focal"
        )
    images, poses, focal, times = shapes["images"], shapes["poses"], shapes["focal"], shapes.get("times")
    if len(images) != 4 or images[-1] not in (3, 4) or 0 in images:
        raise BadInput(f"{path}: its images are {list(images)}, not [views, height, width, 3 or 4]")
    count = images[0]
    if poses[:1] != (count,) or times not in (None, (count,)):
        raise BadInput(
            f"{path}: {count} images, {poses[0] if poses else 0} poses"
            + (f", times {list(times)}" if times is not None else "")
            + "; each view needs one of each"
        )
    if poses[1:] not in ((3, 4), (4, 4)):
        raise BadInput(f"{path}: its poses are {list(poses)}, not [views, 3 or 4, 4]")
    check_views(range(count), path)
    if math.prod(focal) != 1:
        raise BadInput(f"{path}: its focal is not one number")
    check_size(path, count, math.prod(images[:3]), max_pixels)


def _as_bytes(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating) or not (images.min() >= 0.0 and images.max() <= 1.0):
        raise BadInput(f"{path}: its images are {images.dtype}; they must be uint8, or floating numbers from 0 to 1")
    return np.stack([np.round(image * 255.0).astype(np.uint8) for image in images])
