"""Read TIFF: tifffile decodes every layout, depth and compression; Pillow stands in where imagecodecs is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.cmyk import cmyk_to_rgb
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import lab_to_srgb
from scenes.image.pillow import read_pillow
from scenes.image.refused import RAW_ADVICE
from scenes.image.storage import Storage, row_strips

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

# Tags.
ICC_PROFILE = 34675
ORIENTATION = 274
SUBSAMPLING = 530
DNG_VERSION = 50706
GDAL_NODATA = 42113
# Meanings of channels beyond the colours (tag ExtraSamples).
PREMULTIPLIED, STRAIGHT = 1, 2
# Bits of the tag NewSubfileType: a smaller copy of another page, a mask of another page.
REDUCED, MASK = 1, 4
# Photometric interpretations of camera raw: filter mosaic, linear raw.
RAW_PHOTOMETRICS = (32803, 34892)
# Photometric interpretations that are read, with their number of colors.
COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3}
MINISWHITE, RGB, PALETTE, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 2, 3, 5, 6, 8, 9
# Compressions by JPEG, old and new: the codec turns YCbCr into RGB.
JPEG_COMPRESSIONS = (6, 7)


def read_tiff(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read the page with the number `layer`, by default the first of full size.

    Integers become uint8 or uint16, sRGB; floats and signed integers float32, linear.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        _refuse_raw(file)
        page, notes = _choose_page(file, layer)
        storage.check(page.imagelength, page.imagewidth)
        if page.imagedepth != 1:
            raise BadInput("it holds a volume, not an image; save one slice")
        photometric = int(page.photometric)
        if photometric not in COLORS:
            raise BadInput(f"its colours are {page.photometric!r}, which is not supported; save it as RGB or grey")
        if photometric == YCBCR and int(page.compression) not in JPEG_COMPRESSIONS:
            return _from_ycbcr(path, page, storage, notes)
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
            return _with_notes(read_pillow(path, "TIFF", storage, layer), notes)
        return _to_image(page, pixels, storage, notes)


def _with_notes(image: DecodedImage, notes: list[str]) -> DecodedImage:
    image.notes[:0] = [note for note in notes if note not in image.notes]
    return image


def _refuse_raw(file: TiffFile) -> None:
    """Raise BadInput where a file is a camera's raw data, whose first page is a thumbnail."""
    first = file.pages.first
    pages = [first, *(first.pages or [])]
    if DNG_VERSION in first.tags or any(int(getattr(page, "photometric", 0)) in RAW_PHOTOMETRICS for page in pages):
        make = str(first.tags.valueof(271) or "").strip("\0 ")
        raise BadInput(f"a camera raw file{f' ({make})' if make else ''}, which is not read: {RAW_ADVICE}")


def _choose_page(file: TiffFile, layer: str | None) -> tuple[TiffPage, list[str]]:
    """The page with the number `layer`, or the first that is no smaller copy or mask, and notes."""
    from tifffile import TiffPage

    count = len(file.pages)
    if layer is not None:
        if not (layer.isdecimal() and 1 <= int(layer) <= count):
            raise BadInput(f"`layer={layer}`: it has the pages 1 to {count}")
        page = file.pages[int(layer) - 1]
        return page if isinstance(page, TiffPage) else page.aspage(), []
    if count == 1:
        return file.pages.first, []
    file.pages.useframes = False
    pages = [page for page in file.pages if isinstance(page, TiffPage)]
    whole = [page for page in pages if _is_whole(page)] or pages[:1]
    if len(whole) == 1:
        return whole[0], []
    number = pages.index(whole[0]) + 2
    return whole[0], [
        f"{len(whole)} pages, the first is used (`layer={number}` takes the next, `kind=video` all as a clip)"
    ]


def _is_whole(page: TiffPage) -> bool:
    """Whether a page is neither a smaller copy nor a mask of another one."""
    return not int(page.subfiletype) & (REDUCED | MASK)


def whole_pages(path: Path) -> tuple[list[int], float | None]:
    """Numbers from 0 of a file's pages of full size, and their number per second where ImageJ wrote it."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        file.pages.useframes = False
        pages = [index for index, page in enumerate(file.pages) if _is_whole(page)]  # pyright: ignore[reportArgumentType]
        metadata = file.imagej_metadata or {}
    interval, rate = float(metadata.get("finterval") or 0), float(metadata.get("fps") or 0)
    return pages, 1 / interval if interval > 0 else rate if rate > 0 else None


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


def _to_image(page: TiffPage, pixels: np.ndarray, storage: Storage, notes: list[str]) -> DecodedImage:
    photometric, profile = int(page.photometric), page.tags.valueof(ICC_PROFILE)
    colors, alpha, premultiplied = _choose_channels(page, pixels.shape[2], notes)
    used = [*range(colors), *([] if alpha is None else [alpha])]
    pixels = pixels[..., : used[-1] + 1] if used == list(range(used[-1] + 1)) else pixels[..., used]
    if photometric == PALETTE:
        pixels = _apply_palette(page, pixels, storage)
    elif photometric in (CIELAB, ICCLAB):
        pixels, profile = _from_lab(page, pixels, storage), None
        notes.append("converted from CIE Lab")
    else:
        pixels = _to_supported_type(pixels, page, storage, notes)
    if photometric == SEPARATED:
        pixels, note = cmyk_to_rgb(pixels, profile, storage)
        notes.append(note)
        profile = None
    linear = pixels.dtype == np.float32
    return DecodedImage(
        pixels,
        "linear" if linear else "srgb",
        premultiplied=premultiplied,
        orientation=int(page.tags.valueof(ORIENTATION) or 1),
        profile=profile,
        notes=notes,
    )


def _choose_channels(page: TiffPage, samples: int, notes: list[str]) -> tuple[int, int | None, bool]:
    """Number of colors, the channel of alpha or None, and whether it is premultiplied. Adds notes on the others."""
    photometric = int(page.photometric)
    colors = COLORS[photometric]
    if samples < colors:
        raise BadInput(f"it says it has {colors} colours but holds {samples} channels")
    meanings = [int(meaning) for meaning in page.extrasamples]
    if colors == 1 and photometric != PALETTE and samples >= 3 and not {PREMULTIPLIED, STRAIGHT} & set(meanings):
        # Satellites' and cameras' bands: grey would show one of them.
        notes.append(f"{samples} bands without a meaning: the first three are taken as red, green and blue")
        return 3, None, False
    first = next((i for i, meaning in enumerate(meanings) if meaning in (PREMULTIPLIED, STRAIGHT)), None)
    alpha = None if first is None or photometric == PALETTE else colors + first
    if alpha is not None and alpha >= samples:
        alpha = None
    ignored = samples - colors - (alpha is not None)
    if ignored > 0:
        notes.append(f"ignored: {ignored} more {'channel' if ignored == 1 else 'channels'}")
    return colors, alpha, alpha is not None and first is not None and meanings[first] == PREMULTIPLIED


def _apply_palette(page: TiffPage, pixels: np.ndarray, storage: Storage) -> np.ndarray:
    """RGB `[H, W, 3]` of palette indices; 8 bits where the palette needs no more."""
    table = np.asarray(page.colormap).T
    if table.max() <= 255:  # some programs write 8-bit palettes
        table = table.astype(np.uint8)
    elif not (table % 257).any() or not (table & 255).any():
        table = (table >> 8).astype(np.uint8)
    height, width = pixels.shape[:2]
    colors = storage.new(height, width, 3, table.dtype)
    for rows in row_strips(height, width):
        colors[rows] = table[pixels[rows, :, 0]]
    return colors


def _from_lab(page: TiffPage, pixels: np.ndarray, storage: Storage) -> np.ndarray:
    """sRGB `[H, W, 3 or 4]` uint8 or uint16 of CIE Lab of 8 or 16 bits (TIFF 6, section 23; Technical Note 4)."""
    bits = page.bitspersample
    if bits not in (8, 16) or pixels.dtype.kind == "f":
        raise BadInput(f"its CIE Lab colours have {bits} bits, which is not supported; save it as RGB")
    dtype = np.uint8 if bits == 8 else np.uint16
    top = np.float32(np.iinfo(dtype).max)
    height, width, channels = pixels.shape
    out = storage.new(height, width, channels, dtype)
    for rows in row_strips(height, width):
        stored = pixels[rows].astype(dtype)
        lightness = stored[..., :1].astype(np.float32) * (100 / top)
        if int(page.photometric) == CIELAB:
            chroma = stored[..., 1:3].view(np.int8 if bits == 8 else np.int16).astype(np.float32) / (top + 1) * 256
        else:
            chroma = stored[..., 1:3].astype(np.float32) / (top + 1) * 256 - 128
        out[rows, :, :3] = np.rint(lab_to_srgb(np.concatenate([lightness, chroma], axis=-1)) * top)
        out[rows, :, 3:] = stored[..., 3:]
    return out


def _from_ycbcr(path: Path, page: TiffPage, storage: Storage, notes: list[str]) -> DecodedImage:
    """RGB of a page in YCbCr that is not JPEG, by libtiff: tifffile does not undo the subsampling.

    Pillow's libtiff reads only what is compressed.
    """
    try:
        import imagecodecs
    except ImportError:
        if int(page.compression) == 1:
            raise
        return _with_notes(read_pillow(path, "TIFF", storage, str(page.index + 1)), notes)
    decoded = imagecodecs.tiff_decode(path.read_bytes(), index=page.index, asrgb=True)
    pixels = storage.like(decoded[..., :3], np.uint8)
    pixels[...] = decoded[..., :3]
    return DecodedImage(
        pixels,
        "srgb",
        orientation=int(page.tags.valueof(ORIENTATION) or 1),
        profile=page.tags.valueof(ICC_PROFILE),
        notes=notes,
    )


def _to_supported_type(pixels: np.ndarray, page: TiffPage, storage: Storage, notes: list[str]) -> np.ndarray:
    """The pixels as contiguous uint8, uint16 (0 to full scale) or float32, with 0 as black. Adds notes on changes."""
    kind, bits = pixels.dtype.kind, page.bitspersample
    bits = max(bits) if isinstance(bits, Sequence) else bits
    inverted = int(page.photometric) == MINISWHITE and kind in "ub"
    scale, missing = None, None
    wanted: type[np.number] = np.float32
    if kind in "fi":
        missing = _missing_value(page)
        if kind == "i":
            notes.append("signed integers are taken as plain (linear) values")
    elif kind in "ub":
        wanted = np.uint8 if bits <= 8 else np.uint16
        scale = None if bits in (8, 16) else np.iinfo(np.dtype(wanted)).max / (2**bits - 1)
        if bits > 16 and pixels.max() <= 65535:
            scale = None
            notes.append(f"{bits}-bit integers are taken as 16 bits, which hold them")
        elif bits > 16:
            notes.append(f"{bits}-bit integers are rounded to 16")
    else:
        raise BadInput(f"its values are of the type {pixels.dtype}, which images do not have")
    if pixels.dtype == wanted and pixels.flags.c_contiguous and scale is None and not inverted and missing is None:
        return pixels
    height, width, channels = pixels.shape
    out = storage.new(height, width, channels, wanted)
    colors = min(channels, COLORS[int(page.photometric)])
    for rows in row_strips(height, width):
        strip = pixels[rows]
        out[rows] = strip if scale is None else np.rint(strip * np.float64(scale))
        if inverted:
            out[rows, :, :colors] = np.iinfo(out.dtype).max - out[rows, :, :colors]
        if missing is not None:
            out[rows][strip == missing] = np.nan
    return out


def _missing_value(page: TiffPage) -> float | None:
    """The value that stands for no measurement in a GeoTIFF; None where there is none."""
    text: Any = page.tags.valueof(GDAL_NODATA)
    try:
        value = float(str(text).strip("\0 ")) if text else math.nan
    except ValueError:
        return None
    return None if math.isnan(value) else value
