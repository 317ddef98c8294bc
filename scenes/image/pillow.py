"""Read images with Pillow: every format of 8 bits per channel, in every mode that Pillow has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, row_strips
from scenes.io.files import read_head

if TYPE_CHECKING:
    from PIL.Image import Image

# Modes whose values are taken as they are.
PLAIN_MODES = ("L", "LA", "RGB", "RGBA")
# EXIF's tag of the orientation.
ORIENTATION = 0x0112
# Bytes of an AVIF file that are searched for the decoder's configuration.
AVIF_HEAD = 1 << 14


@contextmanager
def open_pillow(source: BinaryIO, format: str, storage: Storage) -> Iterator[Image]:
    """Open an image with its header read and its size checked by `storage`; the pixels are still in the file.

    Pillow's own limit of pixels is switched off meanwhile.
    """
    import PIL.Image

    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        with PIL.Image.open(source, formats=[format]) as image:
            storage.check(image.height, image.width)
            yield image
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def frame_count(image: Image) -> int:
    """Number of frames or pages; 1 for formats that have only one."""
    return getattr(image, "n_frames", 1)


def read_pillow(path: Path, format: str, storage: Storage) -> DecodedImage:
    """Read the first frame of an image file.

    Decoding takes 4 bytes per pixel for a moment, whatever `storage.memory` is.
    """
    # An open file, not a name: by name, Pillow maps TIFFs without compression, and garbles those that are rotated.
    with open(path, "rb") as file, open_pillow(file, format, storage) as image:
        frames = frame_count(image)
        notes = []
        if frames > 1 and format != "JPEG":
            notes.append(f"{frames} {'pages' if format == 'TIFF' else 'frames'}, the first is used")
        if format == "AVIF" and _is_deep_avif(path):
            notes.append("more than 8 bits per channel are rounded to 8")
        image.load()
        profile = image.info.get("icc_profile")
        # By now Pillow has turned a TIFF upright, and its EXIF says so.
        orientation = image.getexif().get(ORIENTATION, 1)
        plain: Image = image
        if image.mode == "CMYK":
            plain, note = _from_cmyk(image, profile)
            notes.append(note)
            profile = None
        plain = _to_plain_mode(plain)
        dtype = np.uint8 if plain.mode in PLAIN_MODES else np.uint16
        pixels = storage.new(plain.height, plain.width, len(plain.getbands()), dtype)
        for rows in row_strips(plain.height, plain.width):
            strip = np.asarray(plain.crop((0, rows.start, plain.width, rows.stop)))
            pixels[rows] = strip.reshape(rows.stop - rows.start, plain.width, -1)
    return DecodedImage(pixels, "srgb", orientation=orientation, profile=profile, notes=notes)


def _is_deep_avif(path: Path) -> bool:
    """Whether the decoder's configuration box, "av1C", announces 10 or 12 bits."""
    head = read_head(path, AVIF_HEAD)
    start = head.find(b"av1C")
    return start >= 0 and bool(head[start + 6 : start + 7] and head[start + 6] & 0x40)


def _to_plain_mode(image: Image) -> Image:
    """The image in one of `PLAIN_MODES`, or as 16-bit grey."""
    if image.mode.startswith("I;16"):
        return image
    transparent = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
    grey = image.mode in ("1", "L", "La")
    wanted = ("LA" if transparent else "L") if grey else ("RGBA" if transparent else "RGB")
    if image.mode in PLAIN_MODES and not transparent:
        return image
    return image.convert(wanted)


def _from_cmyk(image: Image, profile: bytes | None) -> tuple[Image, str]:
    """Convert CMYK to RGB, by the profile where that is possible. Returns the image and a note."""
    from PIL import ImageCms

    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                name = ImageCms.getProfileDescription(source).strip()
                return converted, f"converted from CMYK by its profile '{name}'"
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB"), "converted from CMYK without a colour profile: colours are approximate"
