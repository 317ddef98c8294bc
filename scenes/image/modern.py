"""Read JPEG XL, JPEG 2000, JPEG XR, AVIF and HEIC with all their bits."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import Encoding, coded_encoding
from scenes.image.pillow import read_pillow
from scenes.image.storage import Storage, row_strips

# Bytes of a file that are searched for its boxes.
HEAD_BYTES = 1 << 16
# JPEG 2000: markers that begin the codestream; enumerated colour spaces.
J2K_START = b"\xff\x4f\xff\x51"
SYCC = 18


def read_avif(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read an AVIF image: 8 bits with Pillow, more with imagecodecs, in the color space of its code points."""
    head = _head(path)
    bits = _av1_bits(head)
    image = read_pillow(path, "AVIF", storage, layer)
    if bits > 8 and layer is None:
        try:
            import imagecodecs
        except ImportError:
            image.notes.append(f"{bits} bits per channel are rounded to 8: imagecodecs is not installed")
        else:
            decoded = imagecodecs.avif_decode(path.read_bytes())
            image.pixels = _scaled(decoded.reshape(*decoded.shape[:2], -1), bits, storage)
    image.encoding = nclx_encoding(path)
    return image


def _av1_bits(head: bytes) -> int:
    """Bits per channel by the decoder's configuration box, "av1C"."""
    start = head.find(b"av1C")
    flags = head[start + 6] if start >= 0 and len(head) > start + 6 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def nclx_encoding(path: Path) -> Encoding | None:
    """The encoding of the first color box of code points in an HEIF container."""
    head = _head(path)
    start = head.find(b"colrnclx")
    if start < 0 or len(head) < start + 12:
        return None
    return coded_encoding(*struct.unpack(">HH", head[start + 8 : start + 12]))


def read_heic(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read the primary image of a HEIC file with pi-heif, upright, with 10 and 12 bits as 16."""
    try:
        import pi_heif
    except ImportError:
        raise BadInput(
            "reading HEIC needs the package pi-heif: pip install 'field-studio[heif]', or export it as JPEG"
        ) from None
    file = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
    count = len(file)
    number = 1 if layer is None else int(layer) if layer.isdecimal() else 0
    if not 1 <= number <= count:
        raise BadInput(f"`layer={layer}`: it has the pictures 1 to {count}")
    chosen = file[file.primary_index if layer is None else number - 1]
    width, height = chosen.size
    storage.check(height, width)
    decoded = np.asarray(chosen)
    decoded = decoded.reshape(height, width, -1)
    pixels = storage.like(decoded, decoded.dtype)
    pixels[...] = decoded
    notes = (
        [f"{count} pictures, the main one is used (`layer=2` takes the second)"] if count > 1 and layer is None else []
    )
    if chosen.info.get("aux"):
        notes.append("its HDR gain map or depth is left out")
    profile = chosen.info.get("icc_profile")
    return DecodedImage(pixels, "srgb", profile=profile, encoding=nclx_encoding(path), notes=notes)


def read_jpegxl(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read the first frame of a JPEG XL image with imagecodecs, upright. Its color space is not told: sRGB."""
    import imagecodecs

    decoded = imagecodecs.jpegxl_decode(path.read_bytes(), index=0)
    if decoded.ndim == 2:
        decoded = decoded[..., None]
    storage.check(*decoded.shape[:2])
    if decoded.shape[2] > 4:
        raise BadInput(f"it has {decoded.shape[2]} channels; save it as RGB or grey")
    linear = decoded.dtype.kind == "f"
    pixels = storage.like(decoded, np.float32 if linear else decoded.dtype)
    pixels[...] = decoded
    return DecodedImage(pixels, "linear" if linear else "srgb", notes=["the colours of JPEG XL are taken as sRGB"])


def read_jpeg2000(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read JPEG 2000 with all its bits; without imagecodecs 8 bits, with Pillow."""
    try:
        import imagecodecs
    except ImportError:
        return read_pillow(path, "JPEG2000", storage)
    data = path.read_bytes()
    start = data.find(J2K_START)
    fields = struct.unpack_from(">8IHB", data, start + 8)
    width, height, bits = fields[0] - fields[2], fields[1] - fields[3], (fields[9] & 0x7F) + 1
    storage.check(height, width)
    if fields[9] & 0x80:
        raise BadInput("its values are signed, which pictures do not have")
    profile, enumerated = _j2k_color(data[:start])
    if enumerated == SYCC:
        return read_pillow(path, "JPEG2000", storage)
    decoded = imagecodecs.jpeg2k_decode(data)
    decoded = decoded.reshape(height, width, -1)
    notes = [f"ignored: {decoded.shape[2] - 4} more channels"] if decoded.shape[2] > 4 else []
    return DecodedImage(_scaled(decoded[..., :4], bits, storage), "srgb", profile=profile, notes=notes)


def _j2k_color(boxes: bytes) -> tuple[bytes | None, int]:
    """The ICC profile of a JP2 file's color box, or the number of its enumerated space; None and 0 without any."""
    start = boxes.find(b"colr")
    if start < 4:
        return None, 0
    length = int.from_bytes(boxes[start - 4 : start], "big")
    content = boxes[start + 4 : start - 4 + length]
    if content[:1] == b"\x01":
        return None, int.from_bytes(content[3:7], "big")
    return (content[3:], 0) if content[:1] in (b"\x02", b"\x03") else (None, 0)


def read_jpegxr(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read JPEG XR with imagecodecs: integers are sRGB, floats linear light."""
    import imagecodecs

    decoded = imagecodecs.jpegxr_decode(path.read_bytes())
    decoded = decoded.reshape(*decoded.shape[:2], -1)
    storage.check(*decoded.shape[:2])
    if decoded.shape[2] > 4 or decoded.dtype.kind not in "uf":
        raise BadInput(f"it has {decoded.shape[2]} channels of {decoded.dtype}; save it as RGB or grey")
    linear = decoded.dtype.kind == "f"
    pixels = storage.like(decoded, np.float32 if linear else decoded.dtype)
    pixels[...] = decoded
    return DecodedImage(pixels, "linear" if linear else "srgb")


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _scaled(decoded: np.ndarray, bits: int, storage: Storage) -> np.ndarray:
    """Integers of `bits` bits as uint8 or uint16 over their full range."""
    pixels = storage.like(decoded, np.uint8 if bits <= 8 else np.uint16)
    scale = np.iinfo(pixels.dtype).max / (2**bits - 1)
    for rows in row_strips(*decoded.shape[:2]):
        pixels[rows] = np.rint(decoded[rows] * scale)
    return pixels
