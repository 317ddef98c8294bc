"""Photographs of a scene with the cameras that took them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import read_image
from scenes.image.rgb8 import to_rgb8
from scenes.posed.camera import Camera
from scenes.posed.locate import DYNAMIC_MASK

# One view of this many is for testing where a scene's files name no test views.
TEST_EVERY = 8
# Pixels of all views together. A larger scene is taken for a decompression bomb unless the caller raises the limit.
MAX_PIXELS = 2_000_000_000

# Aspect ratios that differ by less, relative to each other, are the same up to rounding of the sizes.
ASPECT_TOLERANCE = 0.02

Box = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class View(Camera):
    """A camera and the photograph that it took: a file, or pixels where one file holds all photographs.

    Attributes:
        image: file of the photograph.
        upright: whether the photograph and its mask are turned as their EXIF orientation says. False: pixels as stored.
        mask: file of an image whose dark pixels do not count; of one of `DYNAMIC_MASK`'s name those that are not black.
        pixels: `[H, W, 3 or 4]` uint8 sRGB, in place of `image`.
        depths: nearest and farthest depth of what the photograph shows, along the optical axis, where the scene's files
            give them.
    """

    image: Path | None = None
    upright: bool = False
    mask: Path | None = None
    pixels: np.ndarray | None = None
    depths: tuple[float, float] | None = None

    @property
    def num_bytes(self) -> int:
        """Size of the photograph's file, or of its pixels."""
        if self.image is not None:
            return self.image.stat().st_size
        return 0 if self.pixels is None else self.pixels.nbytes

    def read_image(self, notes: list[str] | None = None) -> np.ndarray:
        """The photograph, `[H, W, 3 or 4]` uint8 sRGB with straight alpha.

        Photographs of 16 bits a channel are rounded, linear light is converted, grey ones become colors.

        Args:
            notes: gets a line, which begins with the view's name, for each thing that was changed.

        Raises BadInput where it cannot be read, has another size than the intrinsics, or is transparent everywhere.
        """
        if self.pixels is not None:
            return self.pixels
        if self.image is None:
            raise ValueError(f"the view {self.name} has a camera and no photograph")
        decoded = read_image(self.image, upright=self.upright)
        pixels, changed = to_rgb8(decoded)
        if notes is not None:
            notes += [f"{self.name}: {text}" for text in (*decoded.notes, *changed)]
        if pixels.shape[:2] != (self.intrinsics.height, self.intrinsics.width):
            raise BadInput(
                f"{self.image}: is {pixels.shape[1]} x {pixels.shape[0]}, but its camera is for "
                f"{self.intrinsics.width} x {self.intrinsics.height}; save the image again"
            )
        check_not_transparent(pixels, str(self.image))
        return pixels

    def read_mask(self) -> np.ndarray | None:
        """The pixels that count, `[H, W]` bool; None where there is no mask.

        A mask of the same shape in another resolution is resized. Raises BadInput where it cannot be read, has another
        shape, or nothing counts.
        """
        if self.mask is None:
            return None
        pixels = read_image(self.mask, upright=self.upright).pixels
        width, height = self.intrinsics.width, self.intrinsics.height
        if not same_aspect(pixels.shape[1], pixels.shape[0], width, height):
            raise BadInput(
                f"{self.mask}: the mask is {pixels.shape[1]} x {pixels.shape[0]}, its image {width} x {height}"
            )
        counts = counted_pixels(pixels, self.mask)
        if counts.shape != (height, width):
            rows = (np.arange(height) + 0.5) * counts.shape[0] / height
            columns = (np.arange(width) + 0.5) * counts.shape[1] / width
            counts = counts[rows.astype(int)[:, None], columns.astype(int)]
        if not counts.any():
            raise BadInput(
                f"{self.mask}: masks out all of its image; make it white where the image counts, or leave the view out"
            )
        return counts


@dataclass(frozen=True, eq=False)
class PosedViews:
    """The views of a scene, in the order of its file.

    Attributes:
        aabb_scale: side of the scene in instant-ngp's unit cubes, from its transforms file.
        notes: one-line remarks about what was repaired or decided while reading.
        box: lower and upper corner of what there is to see, where the files give them.
        points: `[N, 3]` float64 on surfaces, where the cameras were found from such points.
        convention: as which the files' poses were read; see `scenes.posed.conventions`. "" where files fix it.
        keep_alive: an object that must live while the images are read, for example the folder that a zip was unpacked
            to.
    """

    views: tuple[View, ...]
    aabb_scale: float | None = None
    notes: list[str] = field(default_factory=list)
    box: Box | None = None
    _: KW_ONLY
    points: np.ndarray | None = None
    convention: str = ""
    keep_alive: object = None

    @property
    def training(self) -> list[View]:
        """The views for training."""
        return [view for view in self.views if view.split == "train"]

    @property
    def test(self) -> list[View]:
        """The views that are held out for testing."""
        return [view for view in self.views if view.split == "test"]

    def hold_out(self, fraction: float) -> PosedViews:
        """The same views with every `1 / fraction`-th for testing, from the first on, whatever their files say.

        Raises ValueError where that leaves none for training.
        """
        if not 0 < fraction <= 0.5:
            raise ValueError(f"a fraction to hold out is above 0 and at most 0.5, not {fraction:g}")
        every = round(1 / fraction)
        return replace(
            self, views=tuple(replace(view, split=split_of(index, every)) for index, view in enumerate(self.views))
        )


def counted_pixels(pixels: np.ndarray, mask: Path) -> np.ndarray:
    """The pixels that count, `[H, W]` bool, of a mask `[H, W, C]` that was read from the file `mask`."""
    colors = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    if mask.name.startswith(DYNAMIC_MASK):
        return (colors == 0).all(axis=2)
    limit = np.iinfo(pixels.dtype).max // 2 if pixels.dtype.kind == "u" else 0.5
    return colors.mean(axis=2) > limit


def split_of(index: int, every: int = TEST_EVERY) -> str:
    """The split of the view at `index` where one of `every` views is for testing, from the first on."""
    return "train" if index % every else "test"


def check_views(views: Sequence[object], name: str | os.PathLike) -> None:
    """Raises BadInput where there are too few views for a scene."""
    if len(views) < 2:
        raise BadInput(f"{name}: a scene needs two views or more, not {len(views)}")


def same_aspect(width: float, height: float, other_width: float, other_height: float) -> bool:
    """Whether two sizes have the same aspect ratio, up to rounding."""
    x, y = width / other_width, height / other_height
    return abs(x - y) <= ASPECT_TOLERANCE * x


def grouped_notes(notes: Sequence[str]) -> list[str]:
    """Notes with those of single views, "VIEW: what", put together where several say the same."""
    views: dict[str, list[str]] = {}
    for note in notes:
        view, colon, text = note.partition(": ")
        views.setdefault(text if colon else note, []).append(view if colon else "")
    found = []
    for text, names in views.items():
        if len(names) == 1 or not names[0]:
            found.append(f"{names[0]}: {text}" if names[0] else text)
        else:
            found.append(f"{len(names)} views ({names[0]}, ...): {text}")
    return found


def check_not_transparent(pixels: np.ndarray, name: str) -> None:
    """Raises BadInput where an image `[H, W, C]` has an alpha channel that is zero everywhere."""
    if pixels.shape[-1] == 4 and not pixels[..., 3].any():
        raise BadInput(f"{name}: is transparent all over; leave the view out")


def check_size(name: str | os.PathLike, num_views: int, num_pixels: int, max_pixels: int) -> None:
    """Raises BadInput where views have more pixels in all than `max_pixels`. To be called before images are read."""
    if num_pixels > max_pixels:
        raise BadInput(
            f"{name}: its {num_views} views are {num_pixels / 1e6:.3g} megapixels in all, more than the limit of "
            f"{max_pixels / 1e6:g}; raise it with `max_pixels={num_pixels}` if you trust the file"
        )
