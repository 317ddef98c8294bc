"""Any image as 8-bit sRGB: the one path of photographs with cameras, frames and textures."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import linear_to_srgb
from scenes.image.read import read_image


def to_rgb8(decoded: DecodedImage) -> tuple[np.ndarray, list[str]]:
    """An image as `[H, W, 3 or 4]` uint8 sRGB with straight alpha, and notes on what was changed.

    Grey is repeated, 16 bits are rounded, linear light is encoded as sRGB and clipped at 1.
    """
    pixels, changed = decoded.pixels, []
    if pixels.shape[-1] <= 2:
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=-1), pixels[..., 1:]], axis=-1)
    if pixels.dtype == np.uint16:
        changed.append("its 16 bits a channel are rounded to 8")
    elif pixels.dtype != np.uint8:
        changed.append("its values are clipped to 0 to 1 and rounded to 8 bits")
        if missing := np.count_nonzero(np.isnan(pixels).any(axis=-1)):
            changed.append(f"{missing:,} of its pixels are NaN and become black")
    has_premultiplied = decoded.premultiplied and pixels.shape[-1] == 4
    if pixels.dtype == np.uint8 and not has_premultiplied:
        return pixels, changed
    if pixels.dtype == np.uint16 and not has_premultiplied:
        return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8), changed
    values = pixels.astype(np.float32)
    if pixels.dtype != np.float32:
        values /= np.float32(np.iinfo(pixels.dtype).max)
    colors, alpha = values[..., :3], values[..., 3:]
    if has_premultiplied:
        colors = np.where(alpha > 0, colors / np.maximum(alpha, np.float32(1e-6)), 0)
    if decoded.space == "linear":
        colors = linear_to_srgb(colors)
    return to_bytes(np.concatenate([colors, alpha], axis=-1)), changed


def read_rgb8(content: bytes) -> np.ndarray:
    """An image in a file's bytes as `[H, W, 3]` uint8 sRGB without transparency.

    Raises BadInput as `read_image`, without a path.
    """
    handle, name = tempfile.mkstemp(prefix="field-studio-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return to_rgb8(read_image(Path(name), upright=False))[0][..., :3]
    except BadInput as error:
        raise BadInput(str(error).removeprefix(f"{name}: ")) from None
    finally:
        os.unlink(name)
