"""What Pillow reads: every format of 8 bits a channel, and every odd mode of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, strips
from scenes.io.files import read_head

if TYPE_CHECKING:
    from PIL.Image import Image

# The modes whose numbers are taken as they are.
PLAIN = ("L", "LA", "RGB", "RGBA")
ORIENTATION = 0x0112


@contextmanager
def open_pillow(source: BinaryIO, format: str, storage: Storage) -> Iterator[Image]:
    """The picture with its header read and its size checked; the pixels are still in the file."""
    import PIL.Image

    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None  # `storage` has the limit
    try:
        with PIL.Image.open(source, formats=[format]) as image:
            storage.check(image.height, image.width)
            yield image
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def read_pillow(path: Path, format: str, storage: Storage) -> DecodedImage:
    """Decoding takes 4 bytes a pixel for a moment, whatever `storage.memory` says."""
    # An open file, not a name: by name, Pillow maps TIFFs without compression and garbles those that lie on their side.
    with open(path, "rb") as file, open_pillow(file, format, storage) as image:
        frames = getattr(image, "n_frames", 1)
        notes = []
        if frames > 1 and format != "JPEG":
            notes.append(f"{frames} {'pages' if format == 'TIFF' else 'frames'}, the first is used")
        if format == "AVIF" and _is_deep_avif(path):
            notes.append("more than 8 bits a channel are rounded to 8")
        image.load()
        profile = image.info.get("icc_profile")
        orientation = image.getexif().get(ORIENTATION, 1)  # a TIFF has been turned upright by now, and says so
        if image.mode == "CMYK":
            image, note = _from_cmyk(image, profile)
            notes.append(note)
            profile = None
        image = _to_plain(image)
        dtype = np.uint8 if image.mode in PLAIN else np.uint16
        pixels = storage.new(image.height, image.width, len(image.getbands()), dtype)
        for rows in strips(image.height, image.width):
            part = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
            pixels[rows] = part.reshape(rows.stop - rows.start, image.width, -1)
    return DecodedImage(pixels, "srgb", orientation=orientation, profile=profile, notes=notes)


def _is_deep_avif(path: Path) -> bool:
    """Whether the decoder's configuration box, "av1C", announces 10 or 12 bits."""
    head = read_head(path, 1 << 14)
    place = head.find(b"av1C")
    return place >= 0 and bool(head[place + 6 : place + 7] and head[place + 6] & 0x40)


def _to_plain(image: Image) -> Image:
    """In one of the PLAIN modes, or 16-bit grey."""
    if image.mode.startswith("I;16"):
        return image
    transparent = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
    grey = image.mode in ("1", "L", "La")
    wanted = ("LA" if transparent else "L") if grey else ("RGBA" if transparent else "RGB")
    if image.mode in PLAIN and not transparent:
        return image
    return image.convert(wanted)


def _from_cmyk(image: Image, profile: bytes | None) -> tuple[Image, str]:
    from PIL import ImageCms

    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted, f"converted from CMYK by its profile '{ImageCms.getProfileDescription(source).strip()}'"
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB"), "converted from CMYK without a colour profile: colours are approximate"
