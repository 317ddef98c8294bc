"""Read what has no reader of its own: with Pillow where it knows the format, else with imageio's plug-in for PyAV.

imageio's own plug-in for Pillow is not used: it drops color profiles and transparency, and gives CMYK as if it were
RGBA.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.gif import gif_profile
from scenes.image.pillow import read_pillow
from scenes.image.storage import Storage

# Formats for which PyAV comes first: Pillow does not know them, or only with 8 bits.
PYAV_FIRST = ("DPX", "SGI", "XWD", "PICT")
# Formats that PyAV does not know, or gives less of.
PILLOW_ONLY = ("ICO", "CUR", "ICNS", "XPM", "GIF", "WEBP", "BMP", "DIB")
# Photoshop's image resource that holds the ICC profile.
PSD_PROFILE = 1039
# Printing density that DPX writes with this transfer function is logarithmic.
DPX_LOG = (1, 3)


def read_other(path: Path, format: str, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read a file of a format of Pillow's or PyAV's; the error of the first reader counts where both fail."""
    if format in PILLOW_ONLY:
        image = read_pillow(path, format, storage, layer)
        if format == "GIF":
            image.profile = gif_profile(path.read_bytes())
        return image
    if format in PYAV_FIRST:
        return _read_pyav(path, format, storage)
    if format == "PSD" and _psd_bits(path) > 8:
        return _read_pyav(path, format, storage)
    try:
        return read_pillow(path, format, storage, layer)
    except BadInput:
        raise
    except Exception:  # noqa: BLE001  (Pillow raises many types for what it does not know)
        try:
            return _read_pyav(path, format, storage)
        except Exception as error:  # noqa: BLE001
            if isinstance(error, BadInput):
                raise
        raise


def _read_pyav(path: Path, format: str, storage: Storage) -> DecodedImage:
    """Read one picture with imageio and PyAV, at 16 bits where the file has more than 8."""
    import imageio.v3 as imageio

    notes: list[str] = []
    with imageio.imopen(path, "r", plugin="pyav") as file:
        native = file.properties(index=0, format=None)  # pyright: ignore[reportArgumentType]
        shape = (
            native.shape if native.shape[-1] <= 4 or len(native.shape) == 2 else (*native.shape[1:], native.shape[0])
        )
        storage.check(*shape[:2])
        deep = native.dtype.itemsize > 1
        alpha = len(shape) == 3 and shape[2] in (2, 4)
        form = {(False, False): "rgb24", (False, True): "rgba", (True, False): "rgb48le", (True, True): "rgba64le"}
        decoded = np.asarray(file.read(index=0, format=form[deep, alpha]))
    pixels = storage.like(decoded, decoded.dtype)
    pixels[...] = decoded
    if len(shape) == 2 or shape[2] <= 2:
        pixels = np.ascontiguousarray(pixels[..., [0, 3] if alpha else [0]])
    if format == "DPX" and _dpx_transfer(path) in DPX_LOG:
        notes.append("its printing density (logarithmic) is taken as sRGB: it looks flat; convert it to EXR for light")
    profile = _psd_profile(path) if format == "PSD" else None
    return DecodedImage(pixels, "srgb", profile=profile, notes=notes)


def _dpx_transfer(path: Path) -> int:
    """Transfer characteristic of a DPX file's first element (SMPTE 268M, byte 801)."""
    with open(path, "rb") as file:
        return file.read(802)[801:802][0]


def _psd_bits(path: Path) -> int:
    """Bits per channel of a Photoshop file."""
    with open(path, "rb") as file:
        return int.from_bytes(file.read(24)[22:24], "big")


def _psd_profile(path: Path) -> bytes | None:
    """The ICC profile among a Photoshop file's image resources."""
    data = path.read_bytes()
    position = 26 + 4 + int.from_bytes(data[26:30], "big")
    end = position + 4 + int.from_bytes(data[position : position + 4], "big")
    position += 4
    while position + 12 <= end and data[position : position + 4] == b"8BIM":
        number, name = struct.unpack_from(">HB", data, position + 4)
        position += 6 + (name + 2) // 2 * 2
        size = int.from_bytes(data[position : position + 4], "big")
        if number == PSD_PROFILE:
            return data[position + 4 : position + 4 + size]
        position += 4 + (size + 1) // 2 * 2
    return None
