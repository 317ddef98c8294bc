"""The formats that Pillow reads: 8 bits a channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.pictures.decoded import Decoded

# The modes that need no conversion, and their channels.
CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def read_pillow(path: Path, format: str, max_pixels: int) -> Decoded:
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(path, formats=[format]) as image:
            image.load()
            image = PIL.ImageOps.exif_transpose(image)
            if image.mode not in CHANNELS:
                transparent = "transparency" in image.info or image.mode.endswith(("A", "a"))
                image = image.convert("RGBA" if transparent else "L" if image.mode in ("1", "I", "F") else "RGB")
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"{path}: the {format} file is damaged or cut short ({error}); get a fresh copy") from None
    return Decoded(pixels.reshape(pixels.shape[0], pixels.shape[1], -1), "srgb")
