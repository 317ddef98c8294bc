"""Read images with Pillow: formats of 8 bits per channel, in every mode that Pillow has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, row_strips

if TYPE_CHECKING:
    from PIL.Image import Image

# Modes whose values are taken as they are.
PLAIN_MODES = ("L", "LA", "RGB", "RGBA")
# EXIF's tag of the orientation.
ORIENTATION = 0x0112
# Formats whose alpha many programs leave at zero where they mean an opaque picture.
UNUSED_ALPHA = ("BMP", "DIB", "TGA", "DDS", "ICO", "CUR")
# What the frames of a file are called in notes.
FRAME_WORDS = {"TIFF": "page", "ICO": "size", "ICNS": "size", "PSD": "layer", "JPEG": "picture"}


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


def frame_note(image: Image, word: str) -> list[str]:
    """The note on which of several frames is read, if there are several."""
    count = frame_count(image)
    return [f"{count} {word}s, the first is used (`layer=2` takes the second)"] if count > 1 else []


def read_pillow(
    path: Path, format: str, storage: Storage, layer: str | None = None, *, inverted_cmyk: bool = True
) -> DecodedImage:
    """Read an image file, of several frames or pages the one with the number `layer`, by default the first.

    `inverted_cmyk`: whether the inks of a JPEG are stored inverted, as Adobe does. Pillow takes them all for that.

    Decoding takes 4 bytes per pixel for a moment, whatever `storage.memory` is.
    """
    from PIL import ImageChops

    # An open file, not a name: by name, Pillow maps TIFFs without compression, and garbles those that are rotated.
    with open(path, "rb") as file, open_pillow(file, format, storage) as image:
        notes = _choose_frame(image, format, layer)
        image.load()
        profile = image.info.get("icc_profile")
        # By now Pillow has turned a TIFF upright, and its EXIF says so.
        orientation = image.getexif().get(ORIENTATION, 1)
        plain: Image = image
        if image.mode == "CMYK" and not inverted_cmyk:
            plain = ImageChops.invert(image)
        if image.mode in ("CMYK", "LAB"):
            plain, note = _from_cmyk(plain, profile) if image.mode == "CMYK" else _from_lab(image)
            notes.append(note)
            profile = None
        plain = _to_plain_mode(plain)
        if format in UNUSED_ALPHA and plain.mode == "RGBA" and plain.getchannel("A").getextrema() == (0, 0):
            plain = plain.convert("RGB")
            notes.append("its alpha is zero everywhere: read as opaque")
        pixels = _to_pixels(plain, storage)
    linear = pixels.dtype == np.float32
    return DecodedImage(pixels, "linear" if linear else "srgb", orientation=orientation, profile=profile, notes=notes)


def _choose_frame(image: Image, format: str, layer: str | None) -> list[str]:
    """Go to the frame with the number `layer`. Returns notes on which is read."""
    count, word = frame_count(image), FRAME_WORDS.get(format, "frame")
    if layer is not None:
        if not (layer.isdecimal() and 1 <= int(layer) <= count):
            raise BadInput(f"`layer={layer}`: it has the {word}s 1 to {count}")
        image.seek(int(layer) - 1)
        return []
    if format in ("PSD", "ICO", "CUR", "ICNS"):  # the merged picture, and the largest
        return [f"a picture of {count} layers, merged"] if format == "PSD" and count > 1 else []
    # Phones keep previews and gain maps in a JPEG; only what is meant as pictures of their own is worth a line.
    return [] if format == "JPEG" and not _is_multi_picture(image) else frame_note(image, word)


def _is_multi_picture(image: Image) -> bool:
    """Whether a JPEG's further pictures are of equal rank: stereo, panorama, several angles."""
    entries = getattr(image, "mpinfo", {}).get(0xB002, [])
    kinds = [entry.get("Attribute", {}).get("MPType", "") for entry in entries[1:]]
    return any(kind.startswith("Multi-Frame") for kind in kinds)


def _to_pixels(image: Image, storage: Storage) -> np.ndarray:
    """The values of an image in a mode of `_to_plain_mode`: `[H, W, C]` uint8, uint16 or float32."""
    dtype = np.uint8 if image.mode in PLAIN_MODES else np.float32 if image.mode == "F" else np.uint16
    if image.mode == "I":
        values = np.asarray(image)
        dtype = np.uint16 if values.min() >= 0 and values.max() <= 65535 else np.float32
    pixels = storage.new(image.height, image.width, len(image.getbands()), dtype)
    for rows in row_strips(image.height, image.width):
        strip = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
        pixels[rows] = strip.reshape(rows.stop - rows.start, image.width, -1)
    return pixels


def _to_plain_mode(image: Image) -> Image:
    """The image in one of `PLAIN_MODES`, or as grey of 16 or 32 bits or of floats."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
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
            converted = ImageCms.profileToProfile(
                image,
                source,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if converted is not None:
                name = ImageCms.getProfileDescription(source).strip()
                return converted, f"converted from CMYK by its profile '{name}'"
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB"), "converted from CMYK without a colour profile: colours are approximate"


def _from_lab(image: Image) -> tuple[Image, str]:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return converted or image, "converted from CIE Lab"
