"""What is asked of a view's picture before it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from scenes.errors import BadInput
from scenes.io.silence import silence_libraries
from scenes.posed.view import Intrinsics


def size_of(picture: Path, name: str) -> tuple[int, int]:
    """Width and height as the file says; BadInput, naming the view, where it is none."""
    try:
        with silence_libraries(), Image.open(picture) as image:
            return image.size
    except Exception as error:
        raise BadInput(f"{name}: is no picture that can be read") from error


def scaled_to(intrinsics: Intrinsics, width: int, height: int, name: str) -> Intrinsics:
    """The lens for a picture of another size; BadInput, naming the view, where it is of another shape."""
    if abs(width / intrinsics.width - height / intrinsics.height) > 0.02 * width / intrinsics.width:
        raise BadInput(
            f"{name}: the picture is {width} x {height}, but its camera was found for {intrinsics.width} x {intrinsics.height}, another shape"
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
