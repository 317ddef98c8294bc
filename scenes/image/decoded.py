"""The result of every image reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenes.image.encoding import Encoding


@dataclass
class DecodedImage:
    """An image as its file holds it.

    Attributes:
        pixels: `[H, W, C]` uint8, uint16 or float32. C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        space: color space, as in `Channels`.
        premultiplied: whether the colours are multiplied by alpha. Without alpha it means nothing.
        orientation: EXIF's orientation, 1 for upright.
        encoding: what the values stand for where that is not `space`, and the file says so without a profile.
        profile: ICC profile of the pixels, or None. `encoding` has precedence.
        notes: one-line remarks for the user on what the reader left out or changed.
    """

    pixels: np.ndarray
    space: str
    premultiplied: bool = False
    orientation: int = 1
    encoding: Encoding | None = None
    profile: bytes | None = None
    notes: list[str] = field(default_factory=list)
