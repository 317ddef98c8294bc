"""Write image files, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import premultiply, quantize, srgb_to_linear, to_display, tone_map, unpremultiply
from scenes.image.storage import row_strips
from scenes.io.atomic import atomic_write, check_path_writable
from scenes.io.silence import silence_libraries

# Number of channels: OpenEXR's names of them.
EXR_NAMES = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
# Longest side of an image in pixels.
WEBP_MAX_SIDE = 16383
JPEG_MAX_SIDE = 65535
# Largest value of a half float.
HALF_MAX = float(np.finfo(np.float16).max)
# Value of `quality` at which WebP is lossless.
LOSSLESS_QUALITY = 100


def write_image(
    path: str | os.PathLike[str], values: np.ndarray, channels: Channels, *, bits: int | None = None, quality: int = 95
) -> list[str]:
    """Write an image in the format of the ending.

    .png         8 bits per channel, or 16 with bits=16
    .jpg .webp   8 bits
    .tif         srgb: 8 bits, or 16 with bits=16; linear: float32, or half with bits=16
    .exr         linear float32, or half with bits=16
    .hdr         linear, three bytes and a shared exponent

    Formats of integers: values are clipped to [0, 1], linear light is tone-mapped, alpha is straight. Formats of
    floats: values are kept, alpha is premultiplied; sRGB is converted to linear light for EXR and HDR. JPEG has no
    alpha, so it is composited on white, and HDR on black.

    Args:
        path: the file.
        values: `[H, W, C]` float32, as `channels` describes them.
        channels: names and color space of the values.
        bits: bits per channel; by default the first that the list above names.
        quality: of .jpg and .webp, from 1 to 100; a WebP of quality 100 is lossless.

    Returns:
        Notes for the user, one line each, on what the format could not keep.

    Raises:
        BadInput: no such format, the format has no such `bits`, or the file cannot be written. An earlier file then
            stays as it was.
        ValueError: `values` and `channels` do not match.
    """
    path = Path(path)
    encode = _encoder(path)
    values = np.asarray(values, np.float32)
    if values.ndim != 3 or values.shape[2] != len(channels) or 0 in values.shape:
        raise ValueError(f"values of shape {list(values.shape)} are not [H, W, {len(channels)}]")
    source = _EncoderInput(values, channels, bits, quality)
    with atomic_write(path) as temporary, silence_libraries():
        try:
            content = encode(source, temporary)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from error
        except ImportError as error:
            raise BadInput(f"{path}: writing this needs the package {error.name}: pip install {error.name}") from error
        if content is not None:
            temporary.write_bytes(content)
    return source.notes


def check_image_writable(path: str | os.PathLike[str], channels: Channels) -> None:
    """Check ending and place before long work. Raises the BadInput of `write_image`."""
    _encoder(Path(path))
    check_path_writable(path)


@dataclass
class _EncoderInput:
    """Values to be written, and their conversion to what each format needs.

    Attributes:
        values, channels, bits, quality: as in `write_image`.
        notes: remarks that the conversions add.
    """

    values: np.ndarray
    channels: Channels
    bits: int | None
    quality: int
    notes: list[str] = field(default_factory=list)

    @property
    def num_colors(self) -> int:
        return len(self.channels) - self.has_alpha

    @property
    def has_alpha(self) -> bool:
        return self.channels.names[-1] == "alpha"

    @property
    def is_linear(self) -> bool:
        return self.channels.space == "linear"

    def depth(self, *choices: int) -> int:
        """Bits per channel: what the caller asked for, by default the first choice. BadInput where it is no choice."""
        if self.bits is None or self.bits in choices:
            return self.bits or choices[0]
        raise BadInput(f"{self.bits} bits per channel cannot be written here, but {' or '.join(map(str, choices))} can")

    def to_integers(self, bits: int) -> np.ndarray:
        """Display values `[H, W, C]` uint8 or uint16, alpha straight."""
        integers = np.empty(self.values.shape, np.uint8 if bits == 8 else np.uint16)
        for rows in self._row_strips():
            strip = self.values[rows]
            if self.channels.premultiplied:
                strip = unpremultiply(strip)
            if self.is_linear:
                colors = tone_map(strip[..., : self.num_colors])
                strip = np.concatenate([colors, strip[..., self.num_colors :]], axis=-1)
            integers[rows] = quantize(strip, integers.dtype.type)
        self._note_tone_mapping()
        return integers

    def to_rgb_on_white(self) -> np.ndarray:
        """Display values `[H, W, 3]` uint8, composited on white."""
        integers = np.empty((*self.values.shape[:2], 3), np.uint8)
        for rows in self._row_strips():
            integers[rows] = quantize(to_display(self.values[rows], self.channels, 1.0), np.uint8)
        self._note_tone_mapping()
        return integers

    def to_linear(self) -> np.ndarray:
        """Linear light `[H, W, C]` float32, premultiplied."""
        if self.is_linear and (self.channels.premultiplied or not self.has_alpha):
            return self.values
        light = unpremultiply(self.values) if self.channels.premultiplied else np.array(self.values)
        if not self.is_linear:
            light[..., : self.num_colors] = srgb_to_linear(light[..., : self.num_colors])
            self.notes.append("sRGB is converted to linear light")
        if self.has_alpha:
            premultiply(light)
        return light

    def check_side(self, limit: int) -> None:
        """Raise BadInput where a side is longer than a format allows."""
        if max(self.values.shape[:2]) > limit:
            raise BadInput(f"this format has at most {limit} pixels per side; write PNG or TIFF")

    def _row_strips(self) -> list[slice]:
        return row_strips(self.values.shape[0], self.values.shape[1])

    def _note_tone_mapping(self) -> None:
        if self.is_linear:
            self.notes.append("linear light is tone-mapped; EXR would keep it")


def _encode_png(source: _EncoderInput, path: Path) -> bytes:
    if source.depth(8, 16) == 8:
        return _encode_with_pillow(source.to_integers(8), "PNG")
    import imagecodecs

    integers = source.to_integers(16)
    return bytes(imagecodecs.png_encode(integers[..., 0] if integers.shape[2] == 1 else integers))


def _encode_jpeg(source: _EncoderInput, path: Path) -> bytes:
    source.depth(8)
    source.check_side(JPEG_MAX_SIDE)
    integers = source.to_rgb_on_white() if source.has_alpha else source.to_integers(8)
    if source.has_alpha:
        source.notes.append("JPEG has no transparency: composited on white")
    # Colour at full resolution, as its usual subsampling would add an error that is not in the values.
    return _encode_with_pillow(integers, "JPEG", quality=source.quality, subsampling=0)


def _encode_webp(source: _EncoderInput, path: Path) -> bytes:
    source.depth(8)
    source.check_side(WEBP_MAX_SIDE)
    integers = source.to_integers(8)
    if integers.shape[2] <= 2:  # WebP has no grey
        integers = np.ascontiguousarray(integers[..., [0, 0, 0, 1][: 3 + source.has_alpha]])
    lossless = source.quality == LOSSLESS_QUALITY
    return _encode_with_pillow(integers, "WEBP", quality=source.quality, lossless=lossless)


def _encode_tiff(source: _EncoderInput, path: Path) -> bytes:
    import tifffile

    if source.is_linear:
        data = _to_float_type(source.to_linear(), source.depth(32, 16))
    else:
        data = source.to_integers(source.depth(8, 16))
    alpha = ["assocalpha" if source.is_linear else "unassalpha"] if source.has_alpha else None
    grey = data.shape[2] == 1
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        data[..., 0] if grey else data,
        planarconfig=None if grey else "contig",
        photometric="rgb" if source.num_colors == 3 else "minisblack",
        extrasamples=alpha,
        compression="zlib",
        metadata=None,
        software="Field Studio",
    )
    return buffer.getvalue()


def _encode_exr(source: _EncoderInput, path: Path) -> None:
    import OpenEXR

    data = _to_float_type(source.to_linear(), source.depth(32, 16))
    planes = {name: np.ascontiguousarray(data[..., index]) for index, name in enumerate(EXR_NAMES[data.shape[2]])}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    try:
        with OpenEXR.File(header, planes) as file:
            file.write(str(path))
    except RuntimeError as error:
        raise OSError(None, str(error).partition("\n")[0]) from error


def _encode_hdr(source: _EncoderInput, path: Path) -> bytes:
    import imagecodecs

    source.depth(32)
    light = source.to_linear()[..., : source.num_colors]
    if source.has_alpha:
        source.notes.append("HDR has no transparency: composited on black")
    if light.min() < 0:
        source.notes.append("HDR has no negative values: they are 0")
    light = np.maximum(np.broadcast_to(light, (*light.shape[:2], 3)), 0)
    return bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(light), header=True))


# Ending: encoder, which returns the content of the file, or writes the file itself and returns None.
ENCODERS: dict[str, Callable[[_EncoderInput, Path], bytes | None]] = {
    ".png": _encode_png,
    ".jpg": _encode_jpeg,
    ".jpeg": _encode_jpeg,
    ".webp": _encode_webp,
    ".tif": _encode_tiff,
    ".tiff": _encode_tiff,
    ".exr": _encode_exr,
    ".hdr": _encode_hdr,
}


def _encoder(path: Path) -> Callable[[_EncoderInput, Path], bytes | None]:
    if path.suffix.lower() in ENCODERS:
        return ENCODERS[path.suffix.lower()]
    raise BadInput(
        f"{path}: images are not written as {path.suffix or 'files without an ending'}; use {', '.join(ENCODERS)}"
    )


def _encode_with_pillow(integers: np.ndarray, format: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(integers[..., 0] if integers.shape[2] == 1 else integers).save(buffer, format, **options)
    return buffer.getvalue()


def _to_float_type(light: np.ndarray, bits: int) -> np.ndarray:
    """float32 as it is, or clipped to the range of half floats."""
    return light if bits == 32 else np.clip(light, -HALF_MAX, HALF_MAX).astype(np.float16)
