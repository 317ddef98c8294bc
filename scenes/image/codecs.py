"""Read PNG and JPEG row by row into the array that holds the pixels, with all 16 bits of a PNG.

libpng and libjpeg (through imagecodecs) write into an array that may be a mapped file, so a large image is never in RAM
as a whole. Pillow reads the headers.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.pillow import ORIENTATION, frame_count, open_pillow, read_pillow
from scenes.image.storage import Storage

# PNG's color types: number of channels. 3 is a palette.
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
# Encoding gamma of sRGB.
SRGB_GAMMA = 1 / 2.2
# JPEG markers: start of scan, end of image.
START_OF_SCAN = 0xDA
END_OF_IMAGE = b"\xff\xd9"


def read_png(path: Path, storage: Storage) -> DecodedImage:
    """Read a PNG, the first frame of an animated one. Without imagecodecs, 16-bit colour raises BadInput."""
    data = path.read_bytes()
    with open_pillow(io.BytesIO(data), "PNG", storage) as header:
        width, height, info, frames = header.width, header.height, header.info, frame_count(header)
    depth, color_type = data[24], data[25]
    try:
        import imagecodecs
    except ImportError:
        if depth == 16 and color_type != 0:
            raise BadInput("reading 16-bit colour PNG needs the package imagecodecs: pip install imagecodecs") from None
        return read_pillow(path, "PNG", storage)
    channels = PNG_CHANNELS[color_type] + ("transparency" in info)
    pixels = storage.new(height, width, channels, np.uint16 if depth == 16 else np.uint8)
    imagecodecs.png_decode(data, out=pixels.squeeze(2) if channels == 1 else pixels)
    notes = [f"{frames} frames, the first is used"] if frames > 1 else []
    gamma = info.get("gamma")
    if gamma and abs(gamma - SRGB_GAMMA) > 0.01 and not {"srgb", "icc_profile"} & info.keys():
        notes.append(f"a gamma of {gamma:g} is ignored: the values are taken as sRGB")
    return DecodedImage(
        pixels, "srgb", orientation=_orientation(info.get("exif")), profile=info.get("icc_profile"), notes=notes
    )


def read_jpeg(path: Path, storage: Storage) -> DecodedImage:
    """Read a JPEG. Raises ValueError where its end is missing."""
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
    """The orientation in a block of EXIF data; 1 where there is none."""
    from PIL.Image import Exif

    if not exif:
        return 1
    tags = Exif()
    tags.load(exif)
    return tags.get(ORIENTATION, 1)


def _is_complete(data: bytes) -> bool:
    """Whether a JPEG has its end-of-image marker; libjpeg fills a missing part with grey without an error."""
    position = 2
    # Segments of the header say how long they are, so the end of a thumbnail inside of one does not count.
    while data[position : position + 1] == b"\xff":
        if data[position + 1] == START_OF_SCAN:
            return data.find(END_OF_IMAGE, position) >= 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False
