"""Checks of a view's photograph before it is read: its size, and intrinsics that fit it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from scenes.errors import BadInput
from scenes.io.silence import silence_libraries
from scenes.posed.camera import Intrinsics

# Aspect ratios that differ by less, relative to each other, are the same up to rounding of the sizes.
ASPECT_TOLERANCE = 0.02


def image_size(image: Path, name: str) -> tuple[int, int]:
    """Width and height in pixels, from the file's header. Raises BadInput, naming the view, for other files."""
    try:
        with silence_libraries(), Image.open(image) as opened:
            return opened.size
    except Exception as error:
        raise BadInput(f"{name}: is not an image that can be read") from error


def same_aspect(width: float, height: float, other_width: float, other_height: float) -> bool:
    """Whether two sizes have the same aspect ratio, up to rounding."""
    x, y = width / other_width, height / other_height
    return abs(x - y) <= ASPECT_TOLERANCE * x


def scaled_intrinsics(intrinsics: Intrinsics, width: int, height: int, name: str) -> Intrinsics:
    """The intrinsics for the same image in another resolution. Raises BadInput where the aspect ratio is another."""
    if not same_aspect(width, height, intrinsics.width, intrinsics.height):
        raise BadInput(
            f"{name}: the image is {width} x {height}, but its camera was found for {intrinsics.width} x "
            f"{intrinsics.height}, which is another shape"
        )
    x, y = width / intrinsics.width, height / intrinsics.height
    return replace(
        intrinsics,
        width=width,
        height=height,
        fl_x=intrinsics.fl_x * x,
        fl_y=intrinsics.fl_y * y,
        cx=intrinsics.cx * x,
        cy=intrinsics.cy * y,
    )
