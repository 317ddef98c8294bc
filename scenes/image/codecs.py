"""PNG and JPEG straight into their place, all 16 bits of a PNG kept.

libpng and libjpeg write row by row into the array that they are given, so that a mapped picture never is in RAM.
Pillow reads the headers.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.pillow import ORIENTATION, open_pillow, read_pillow
from scenes.image.storage import Storage

PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette


def read_png(path: Path, storage: Storage) -> DecodedImage:
    data = path.read_bytes()
    with open_pillow(io.BytesIO(data), "PNG", storage) as header:
        width, height, info, frames = header.width, header.height, header.info, getattr(header, "n_frames", 1)
    depth, color_type = data[24], data[25]
    try:
        import imagecodecs
    except ImportError:
        if depth == 16 and color_type != 0:
            raise BadInput("reading 16-bit colour PNG wants the package imagecodecs: pip install imagecodecs") from None
        return read_pillow(path, "PNG", storage)
    channels = PNG_CHANNELS[color_type] + ("transparency" in info)
    pixels = storage.new(height, width, channels, np.uint16 if depth == 16 else np.uint8)
    imagecodecs.png_decode(data, out=pixels.squeeze(2) if channels == 1 else pixels)
    notes = [f"{frames} frames, the first is used"] if frames > 1 else []
    gamma = info.get("gamma")
    if gamma and abs(gamma - 1 / 2.2) > 0.01 and not {"srgb", "icc_profile"} & info.keys():
        notes.append(f"a gamma of {gamma:g} is ignored: the numbers are taken as sRGB")
    return DecodedImage(
        pixels, "srgb", orientation=_orientation(info.get("exif")), profile=info.get("icc_profile"), notes=notes
    )


def read_jpeg(path: Path, storage: Storage) -> DecodedImage:
    try:
        import imagecodecs
    except ImportError:
        return read_pillow(path, "JPEG", storage)
    data = path.read_bytes()
    with open_pillow(io.BytesIO(data), "JPEG", storage) as header:
        width, height, mode, info = header.width, header.height, header.mode, header.info
    if mode not in ("L", "RGB"):
        return read_pillow(path, "JPEG", storage)
    if not _is_complete(data):
        raise ValueError("the end is missing")
    channels = len(mode)
    pixels = storage.new(height, width, channels, np.uint8)
    imagecodecs.jpeg8_decode(data, out=pixels.squeeze(2) if channels == 1 else pixels)
    return DecodedImage(pixels, "srgb", orientation=_orientation(info.get("exif")), profile=info.get("icc_profile"))


def _orientation(exif: bytes | None) -> int:
    from PIL.Image import Exif

    if not exif:
        return 1
    tags = Exif()
    tags.load(exif)
    return tags.get(ORIENTATION, 1)


def _is_complete(data: bytes) -> bool:
    """Whether a JPEG has its end-of-image marker: libjpeg fills the missing part with grey and says nothing."""
    place = 2
    while (
        data[place : place + 1] == b"\xff"
    ):  # header segments say how long they are; a thumbnail inside is passed over
        if data[place + 1] == 0xDA:
            return data.find(b"\xff\xd9", place) >= 0
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False
