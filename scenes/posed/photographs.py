"""What is asked of a view's picture before it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from scenes.errors import BadInput
from scenes.io.quiet import quiet
from scenes.posed.view import Lens


def size_of(picture: Path, name: str) -> tuple[int, int]:
    """Width and height as the file says; BadInput, naming the view, where it is none."""
    try:
        with quiet(), Image.open(picture) as image:
            return image.size
    except Exception as error:
        raise BadInput(f"{name}: is no picture that can be read") from error


def scaled_to(lens: Lens, width: int, height: int, name: str) -> Lens:
    """The lens for a picture of another size; BadInput, naming the view, where it is of another shape."""
    if abs(width / lens.width - height / lens.height) > 0.02 * width / lens.width:
        raise BadInput(
            f"{name}: the picture is {width} x {height}, but its camera was found for {lens.width} x {lens.height}, another shape"
        )
    x, y = width / lens.width, height / lens.height
    return replace(
        lens, width=width, height=height, fl_x=lens.fl_x * x, fl_y=lens.fl_y * y, cx=lens.cx * x, cy=lens.cy * y
    )
