"""Read TIFF: integers of any depth and floats with tifffile, colour models other than grey and RGB with Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.pillow import read_pillow
from scenes.image.storage import Storage, row_strips

if TYPE_CHECKING:
    from tifffile import TiffPage

# Tags.
ICC_PROFILE = 34675
ORIENTATION = 274
# Meanings of channels beyond the colours (tag ExtraSamples).
PREMULTIPLIED, STRAIGHT = 1, 2


def read_tiff(path: Path, storage: Storage) -> DecodedImage:
    """Read the first page. Integers become uint8 or uint16, sRGB; floats and signed integers float32, linear."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        storage.check(page.imagelength, page.imagewidth)
        if page.imagedepth != 1:
            raise BadInput("it holds a volume, not an image; save one slice")
        if page.photometric not in (
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.MINISWHITE,
            tifffile.PHOTOMETRIC.RGB,
        ):
            return read_pillow(path, "TIFF", storage)
        try:
            pixels = _decode(page, storage)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            if page.bitspersample > 8:
                compression = tifffile.COMPRESSION(page.compression).name
                raise BadInput(
                    f"its {compression} compression needs the package imagecodecs: pip install imagecodecs"
                ) from error
            return read_pillow(path, "TIFF", storage)
        notes = [f"{len(file.pages)} pages, the first is used"] if len(file.pages) > 1 else []
        channels, premultiplied = _choose_channels(page, pixels.shape[2], notes)
        pixels = _to_supported_type(pixels[..., :channels], page, storage, notes)
        profile = page.tags.valueof(ICC_PROFILE)
        orientation = page.tags.valueof(ORIENTATION) or 1
        linear = pixels.dtype == np.float32
        if linear and profile:
            notes.append("the colour profile is ignored: the values are floats")
        return DecodedImage(
            pixels,
            "linear" if linear else "srgb",
            premultiplied=premultiplied,
            orientation=int(orientation),
            profile=None if linear else profile,
            notes=notes,
        )


def _decode(page: TiffPage, storage: Storage) -> np.ndarray:
    """The page's pixels `[H, W, samples]` in its own type."""
    if page.dtype is None:
        raise ValueError("its values have an unknown type")
    planes, _, height, width, samples = page.shaped
    pixels = storage.new(height, width, planes * samples, page.dtype)
    page.asarray(out=pixels.reshape(page.shape))
    if planes > 1:  # one plane after another
        return pixels.reshape(planes, height, width).transpose(1, 2, 0)
    return pixels


def _choose_channels(page: TiffPage, samples: int, notes: list[str]) -> tuple[int, bool]:
    """Number of channels to use, and whether the last of them is premultiplied alpha. Adds notes on the others."""
    from tifffile import PHOTOMETRIC

    colors = 3 if page.photometric == PHOTOMETRIC.RGB else 1
    if samples < colors:
        raise BadInput(f"it says RGB but holds {samples} channels")
    meanings = [int(meaning) for meaning in page.extrasamples]
    alpha = bool(meanings) and samples > colors and meanings[0] in (PREMULTIPLIED, STRAIGHT)
    used = colors + alpha
    if samples > used:
        notes.append(f"ignored: {samples - used} more channels")
    return used, alpha and meanings[0] == PREMULTIPLIED


def _to_supported_type(pixels: np.ndarray, page: TiffPage, storage: Storage, notes: list[str]) -> np.ndarray:
    """The pixels as contiguous uint8, uint16 (0 to full scale) or float32, with 0 as black. Adds notes on changes."""
    from tifffile import PHOTOMETRIC

    kind, bits = pixels.dtype.kind, page.bitspersample
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    scale = None
    wanted: type[np.number] = np.float32
    if kind in "fi":
        if kind == "i":
            notes.append("signed integers are taken as plain (linear) values")
    elif kind in "ub":
        wanted = np.uint8 if bits <= 8 else np.uint16
        scale = None if bits in (8, 16) else np.iinfo(np.dtype(wanted)).max / (2**bits - 1)
        if bits > 16:
            notes.append(f"{bits}-bit integers are rounded to 16")
    else:
        raise BadInput(f"its values are of the type {pixels.dtype}, which images do not have")
    if pixels.dtype == wanted and pixels.flags.c_contiguous and scale is None and not inverted:
        return pixels
    height, width, channels = pixels.shape
    out = storage.new(height, width, channels, wanted)
    for rows in row_strips(height, width):
        strip = pixels[rows]
        out[rows] = strip if scale is None else np.rint(strip * np.float64(scale))
        if inverted and kind in "ub":
            out[rows, :, :1] = np.iinfo(out.dtype).max - out[rows, :, :1]
    return out
