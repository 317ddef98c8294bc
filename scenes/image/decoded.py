"""What every reader of picture files gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class DecodedImage:
    """A picture as its file holds it.

    `pixels` is `[H, W, C]` uint8, uint16 or float32; C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha). `space`
    is as in `Channels`. `premultiplied` is meant where there is alpha. `orientation` is EXIF's (1: upright), `profile`
    an ICC profile that the numbers are in, or None. `notes` say what a reader left out or changed.
    """

    pixels: np.ndarray
    space: str
    premultiplied: bool = False
    orientation: int = 1
    profile: bytes | None = None
    notes: list[str] = field(default_factory=list)
