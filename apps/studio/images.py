"""Arrays as bytes that a browser shows."""

from __future__ import annotations

import base64
import io

import numpy as np


def webp(picture: np.ndarray, quality: int = 88) -> bytes:
    """`[H, W, 3 or 4]` uint8."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=quality, method=1)
    return buffer.getvalue()


def quick(picture: np.ndarray) -> bytes:
    """`[H, W, 3]` uint8 as JPEG: as large as WebP, in a tenth of the time, which is the fit's."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=90)
    return buffer.getvalue()


def media_type(content: bytes) -> str:
    return "image/webp" if content[:4] == b"RIFF" else "image/jpeg"


def png(picture: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def inline(picture: np.ndarray) -> str:
    """An address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def same_size(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
