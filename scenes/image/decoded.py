"""The result of every image reader."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class DecodedImage:
    """An image as its file holds it.

    Attributes:
        pixels: `[H, W, C]` uint8, uint16 or float32. C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        space: color space, as in `Channels`.
        premultiplied: whether the colours are multiplied by alpha. Without alpha it means nothing.
        orientation: EXIF's orientation, 1 for upright.
        profile: ICC profile of the pixels, or None.
        notes: one-line remarks for the user on what the reader left out or changed.
    """

    pixels: np.ndarray
    space: str
    premultiplied: bool = False
    orientation: int = 1
    profile: bytes | None = None
    notes: list[str] = field(default_factory=list)
