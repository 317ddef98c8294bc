"""Arrays encoded as bytes that a browser shows. Every image is `[H, W, 3 or 4]` uint8."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def encode_webp(image: np.ndarray, quality: int = 88) -> bytes:
    return _encoded(image, "webp", quality=quality, method=1)


def encode_jpeg(image: np.ndarray) -> bytes:
    """JPEG of an image without alpha: as large as WebP, in a tenth of the time, which is taken from the fit."""
    return _encoded(image, "jpeg", quality=90)


def encode_png(image: np.ndarray) -> bytes:
    return _encoded(image, "png", compress_level=1)


def data_url(png: bytes) -> str:
    """An address that holds a PNG image itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def media_type(content: bytes) -> str:
    """The media type of what `encode_webp` or `encode_jpeg` made."""
    return "image/webp" if content[:4] == b"RIFF" else "image/jpeg"


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at another size, with bilinear interpolation."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _encoded(image: np.ndarray, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()
