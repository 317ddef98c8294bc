"""Numbers to picture files, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import premultiply, quantize, srgb_to_linear, to_display, tone_map, unpremultiply
from scenes.image.storage import strips
from scenes.io.atomic import atomic_write, check_path_writable
from scenes.io.silence import silence_libraries

EXR_NAMES = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
WEBP_SIDE = 16383
JPEG_SIDE = 65535
HALF_LIMIT = float(np.finfo(np.float16).max)


def write_image(
    path: str | os.PathLike, values: np.ndarray, channels: Channels, *, bits: int | None = None, quality: int = 95
) -> list[str]:
    """Writes values `[H, W, C]` float32, as `channels` describes them, in the format of the ending.

    .png         8 bits a channel, or 16 with bits=16
    .jpg .webp   8 bits; `quality` is 1 to 100, and 100 is lossless in WebP
    .tif         srgb: 8 bits, or 16 with bits=16; linear: float32, or half with bits=16
    .exr         linear float32, or half with bits=16
    .hdr         linear, three bytes and a shared exponent

    Integers: clipped to [0, 1], linear light tone-mapped, alpha straight. Floats: as they are, alpha premultiplied;
    sRGB is turned into linear light for EXR and HDR. JPEG has no alpha and is composited on white, HDR on black.

    Returns notes, one line each, on what the format could not keep. Raises BadInput for another ending, for `bits` that
    the format has not, and for a place that cannot be written; an earlier file then stays as it was.
    """
    path = Path(path)
    encode = _encoder(path)
    values = np.asarray(values, np.float32)
    if values.ndim != 3 or values.shape[2] != len(channels) or 0 in values.shape:
        raise ValueError(f"values of shape {list(values.shape)} are not [H, W, {len(channels)}]")
    picture = _Picture(values, channels, bits, quality)
    with atomic_write(path) as temporary, silence_libraries():
        try:
            content = encode(picture, temporary)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from error
        except ImportError as error:
            raise BadInput(f"{path}: writing this wants the package {error.name}: pip install {error.name}") from error
        if content is not None:
            temporary.write_bytes(content)
    return picture.notes


def check_image_writable(path: str | os.PathLike, channels: Channels) -> None:
    """Raises the BadInput of `write_image` about the ending or the place: to be called before long work."""
    _encoder(Path(path))
    check_path_writable(path)


@dataclass
class _Picture:
    """What is to be written, and the forms that formats want it in."""

    values: np.ndarray
    channels: Channels
    bits: int | None
    quality: int
    notes: list[str] = field(default_factory=list)

    @property
    def colors(self) -> int:
        return len(self.channels) - self.has_alpha

    @property
    def has_alpha(self) -> bool:
        return self.channels.names[-1] == "alpha"

    @property
    def linear(self) -> bool:
        return self.channels.space == "linear"

    def depth(self, *choices: int) -> int:
        """The bits a channel: the first choice unless the caller wants another."""
        if self.bits is None or self.bits in choices:
            return self.bits or choices[0]
        raise BadInput(f"{self.bits} bits a channel cannot be written here, but {' or '.join(map(str, choices))} can")

    def integers(self, bits: int) -> np.ndarray:
        """`[H, W, C]` uint8 or uint16 for a screen, alpha straight."""
        whole = np.empty(self.values.shape, np.uint8 if bits == 8 else np.uint16)
        for rows in strips(*whole.shape[:2]):
            part = self.values[rows]
            if self.channels.premultiplied:
                part = unpremultiply(part)
            if self.linear:
                part = np.concatenate([tone_map(part[..., : self.colors]), part[..., self.colors :]], axis=-1)
            whole[rows] = quantize(part, whole.dtype)
        self._note_tone_mapping()
        return whole

    def on_white(self) -> np.ndarray:
        """`[H, W, 3]` uint8, without transparency."""
        whole = np.empty((*self.values.shape[:2], 3), np.uint8)
        for rows in strips(*whole.shape[:2]):
            whole[rows] = quantize(to_display(self.values[rows], self.channels, 1.0), np.uint8)
        self._note_tone_mapping()
        return whole

    def light(self) -> np.ndarray:
        """`[H, W, C]` float32, linear and premultiplied."""
        if self.linear and (self.channels.premultiplied or not self.has_alpha):
            return self.values
        light = unpremultiply(self.values) if self.channels.premultiplied else np.array(self.values)
        if not self.linear:
            light[..., : self.colors] = srgb_to_linear(light[..., : self.colors])
            self.notes.append("sRGB is turned into linear light")
        if self.has_alpha:
            premultiply(light)
        return light

    def _note_tone_mapping(self) -> None:
        if self.linear:
            self.notes.append("linear light is tone-mapped; EXR would keep it")


def _png(picture: _Picture, path: Path) -> bytes:
    bits = picture.depth(8, 16)
    if bits == 8:
        return _pillow(picture.integers(8), "PNG")
    import imagecodecs

    whole = picture.integers(16)
    return imagecodecs.png_encode(whole[..., 0] if whole.shape[2] == 1 else whole)


def _jpeg(picture: _Picture, path: Path) -> bytes:
    picture.depth(8)
    _check_side(picture, JPEG_SIDE)
    whole = picture.on_white() if picture.has_alpha else picture.integers(8)
    if picture.has_alpha:
        picture.notes.append("JPEG has no transparency: composited on white")
    # Colour at full resolution: halving it is a loss that a fit should not be blamed for.
    return _pillow(whole, "JPEG", quality=picture.quality, subsampling=0)


def _webp(picture: _Picture, path: Path) -> bytes:
    picture.depth(8)
    _check_side(picture, WEBP_SIDE)
    whole = picture.integers(8)
    if whole.shape[2] <= 2:  # WebP has no grey
        whole = np.ascontiguousarray(whole[..., [0, 0, 0, 1][: 3 + picture.has_alpha]])
    return _pillow(whole, "WEBP", quality=picture.quality, lossless=picture.quality == 100)


def _tiff(picture: _Picture, path: Path) -> bytes:
    import tifffile

    if picture.linear:
        data = _floats(picture.light(), picture.depth(32, 16))
    else:
        data = picture.integers(picture.depth(8, 16))
    alpha = ["assocalpha" if picture.linear else "unassalpha"] if picture.has_alpha else None
    grey = data.shape[2] == 1
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        data[..., 0] if grey else data,
        planarconfig=None if grey else "contig",
        photometric="rgb" if picture.colors == 3 else "minisblack",
        extrasamples=alpha,
        compression="zlib",
        metadata=None,
        software="Field Studio",
    )
    return buffer.getvalue()


def _exr(picture: _Picture, path: Path) -> None:
    import OpenEXR

    data = _floats(picture.light(), picture.depth(32, 16))
    planes = {name: np.ascontiguousarray(data[..., index]) for index, name in enumerate(EXR_NAMES[data.shape[2]])}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    try:
        with OpenEXR.File(header, planes) as file:
            file.write(str(path))
    except RuntimeError as error:
        raise OSError(None, str(error).partition("\n")[0]) from error


def _hdr(picture: _Picture, path: Path) -> bytes:
    import imagecodecs

    picture.depth(32)
    light = picture.light()[..., : picture.colors]
    if picture.has_alpha:
        picture.notes.append("HDR has no transparency: composited on black")
    if light.min() < 0:
        picture.notes.append("HDR has no negative values: they are 0")
    light = np.maximum(np.broadcast_to(light, (*light.shape[:2], 3)), 0)
    return bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(light), header=True))


# Each gives the content of the file, or writes it itself and gives None.
ENCODERS: dict[str, Callable[[_Picture, Path], bytes | None]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".webp": _webp,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".exr": _exr,
    ".hdr": _hdr,
}


def _encoder(path: Path) -> Callable[[_Picture, Path], bytes | None]:
    if path.suffix.lower() in ENCODERS:
        return ENCODERS[path.suffix.lower()]
    raise BadInput(
        f"{path}: pictures are not written as {path.suffix or 'files without an ending'}; use {', '.join(ENCODERS)}"
    )


def _pillow(whole: np.ndarray, format: str, **options) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole).save(buffer, format, **options)
    return buffer.getvalue()


def _floats(light: np.ndarray, bits: int) -> np.ndarray:
    return light if bits == 32 else np.clip(light, -HALF_LIMIT, HALF_LIMIT).astype(np.float16)


def _check_side(picture: _Picture, limit: int) -> None:
    if max(picture.values.shape[:2]) > limit:
        raise BadInput(f"this format ends at {limit} pixels a side; write PNG or TIFF")
