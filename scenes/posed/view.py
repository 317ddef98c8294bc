"""A photograph and the camera that took it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import read_picture

# How far a rotation's columns may be from orthonormal (largest entry of R^T R - 1): below the first it is rounding, up to
# the second it is repaired with a note, beyond that it is something else.
ROUNDING, REPAIRABLE = 1e-4, 0.05
HELD_OUT = 8  # every so manieth view is for testing where the files say nothing
# Of all views together: beyond this a scene is taken for a decompression bomb until the user says otherwise.
MAX_PIXELS = 2_000_000_000


@dataclass(frozen=True)
class Intrinsics:
    """What turns pixels into directions; all in pixels, pixel centres at +0.5.

    model "pinhole", "opencv" (distortion k1, k2, p1, p2) or "fisheye" (k1, k2, k3, k4).
    """

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    model: str = "pinhole"
    distortion: tuple[float, ...] = ()


@dataclass(frozen=True)
class View:
    """pose `[3, 4]` float64: camera to world, OpenGL axes (x right, y up, looks along -z). split: "train" or "test". time: in
    [0, 1], or None for a scene that stands still. mask: a picture whose dark pixels do not count. A view has its picture
    in a file or, where the scene's file holds them all, as pixels `[H, W, 3 or 4]` uint8. depths: of the nearest and the farthest
    that it shows, along its axis, where the files say so."""

    name: str
    picture: Path | None
    pose: np.ndarray
    intrinsics: Intrinsics
    split: str
    time: float | None = None
    mask: Path | None = None
    pixels: np.ndarray | None = None
    depths: tuple[float, float] | None = None

    def read(self) -> np.ndarray:
        """The picture, `[H, W, 3 or 4]` uint8 sRGB, alpha (if any) straight. BadInput where it cannot be read, is not of the
        lens's size, or is transparent all over."""
        if self.pixels is not None:
            return self.pixels
        decoded = read_picture(self.picture)
        pixels = decoded.pixels
        if pixels.dtype != np.uint8:
            raise BadInput(
                f"{self.picture}: posed views are pictures of 8 bits a channel, and this one is {pixels.dtype}"
            )
        if pixels.shape[-1] <= 2:
            pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=-1), pixels[..., 1:]], axis=-1)
        if pixels.shape[:2] != (self.intrinsics.height, self.intrinsics.width):
            raise BadInput(
                f"{self.picture}: turned upright it is {pixels.shape[1]} x {pixels.shape[0]}, but its lens is for "
                f"{self.intrinsics.width} x {self.intrinsics.height}; save it without an orientation tag"
            )
        if pixels.shape[-1] == 4 and not pixels[..., 3].any():
            raise BadInput(f"{self.picture}: is transparent all over; leave the view out")
        return pixels


@dataclass(frozen=True)
class PosedViews:
    """A scene's views in the order of its file; notes say what was repaired or decided.

    box: the lower and upper corner of what there is to see, where that is known; points `[N, 3]` float64: places on
    surfaces, where the cameras were found from such. kept: what must not go while the pictures are to be read."""

    views: tuple[View, ...]
    aabb_scale: float | None = None
    notes: list[str] = field(default_factory=list)
    box: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    points: np.ndarray | None = None
    kept: object = None

    def of(self, split: str) -> list[View]:
        return [view for view in self.views if view.split == split]

    def held_out(self, share: float) -> PosedViews:
        """The same views with every `1 / share`-th for testing, from the first on, whatever their files say. ValueError where that leaves
        none for training."""
        if not 0 < share <= 0.5:
            raise ValueError(f"a share to hold out is above 0 and at most 0.5, not {share:g}")
        every = round(1 / share)
        return replace(
            self,
            views=tuple(replace(view, split="train" if i % every else "test") for i, view in enumerate(self.views)),
        )


def check_size(name: str | os.PathLike, views: int, pixels: int, max_pixels: int) -> None:
    """To be called before pictures are read: BadInput where they have more pixels in all than `max_pixels`."""
    if pixels > max_pixels:
        raise BadInput(
            f"{name}: its {views} views are {pixels / 1e6:.3g} megapixels in all, more than the limit of {max_pixels / 1e6:g}; "
            f"raise it with --max-pixels {pixels} (max_pixels in Python) if you trust the file"
        )


def checked_pose(matrix: object, name: str, notes: list[str]) -> np.ndarray:
    """The pose `[3, 4]` of a 3 x 4 or 4 x 4 matrix, its rotation made exactly one. BadInput, naming the frame, where it is
    not of that shape, not finite, or not nearly a rotation; a small repair is noted."""
    try:
        pose = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(0)
    if pose.shape not in ((3, 4), (4, 4)):
        raise BadInput(f"{name}: its camera is no matrix of 3 x 4 or 4 x 4 numbers; export the poses again")
    pose = pose[:3]
    if not np.isfinite(pose).all():
        raise BadInput(
            f"{name}: its camera has numbers that are infinite or not numbers; leave the frame out or export the poses again"
        )
    rotation = pose[:, :3]
    error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if error > REPAIRABLE or np.linalg.det(rotation) <= 0:
        what = "mirrors the scene" if np.linalg.det(rotation) < 0 and error <= REPAIRABLE else f"is off by {error:.2g}"
        raise BadInput(
            f"{name}: its camera's axes are no rotation (it {what}); export the poses as camera to world, without scale"
        )
    if error > ROUNDING:
        notes.append(f"{name}: its camera's axes were {error:.1g} from a rotation, and were straightened")
    u, _, v = np.linalg.svd(rotation)
    return np.concatenate([u @ v, pose[:, 3:]], axis=1)


def checked_intrinsics(intrinsics: Intrinsics, name: str) -> Intrinsics:
    """The same lens; BadInput, naming the frame, where no camera is like that."""
    size = max(intrinsics.width, intrinsics.height)
    numbers = np.array(
        [intrinsics.fl_x, intrinsics.fl_y, intrinsics.cx, intrinsics.cy, *intrinsics.distortion], dtype=np.float64
    )
    if not np.isfinite(numbers).all():
        raise BadInput(f"{name}: its lens has numbers that are infinite or not numbers")
    if not (0.05 * size <= intrinsics.fl_x <= 100 * size and 0.05 * size <= intrinsics.fl_y <= 100 * size):
        raise BadInput(
            f"{name}: focal lengths of {intrinsics.fl_x:g} and {intrinsics.fl_y:g} pixels are absurd for a picture of {intrinsics.width} x {intrinsics.height}"
        )
    if not (-size <= intrinsics.cx <= 2 * size and -size <= intrinsics.cy <= 2 * size):
        raise BadInput(
            f"{name}: the optical axis at ({intrinsics.cx:g}, {intrinsics.cy:g}) is far outside of a picture of {intrinsics.width} x {intrinsics.height}"
        )
    return intrinsics
