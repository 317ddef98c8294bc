"""Read PNG row by row into the array that holds the pixels, with all 16 bits, and in the color space its chunks name.

libpng (through imagecodecs) writes into an array that may be a mapped file, so a large image is never in RAM as a
whole. Pillow reads the headers.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import REC_709, Encoding, coded_encoding, gamma_curve, to_rec709
from scenes.image.pillow import ORIENTATION, frame_note, open_pillow, read_pillow
from scenes.image.storage import Storage

# PNG's color types: number of channels. 3 is a palette.
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
# Encoding gamma of sRGB, and how far others may be off and still mean sRGB.
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.01
XMP_ORIENTATION = re.compile(r'tiff:Orientation(?:="|>)([1-8])')


def read_png(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read a PNG, of an animated one the default image or frame `layer`.

    Without imagecodecs, 16-bit colour raises BadInput.
    """
    data, damaged = _without_damaged(path.read_bytes())
    image = _read(path, data, storage, layer)
    image.notes += [f"passed over: {', '.join(damaged)}, whose check sum is wrong"] if damaged else []
    return image


def _without_damaged(data: bytes) -> tuple[bytes, list[str]]:
    """The file without chunks that are not its pixels and whose check sum is wrong, and the names of these.

    Decoders need none of them; libpng passes over them too.
    """
    parts, names, position = [data[:8]], [], 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        # Names of chunks that are not critical begin with a small letter.
        is_needed = name[:1].isupper() or name in (b"fdAT", b"fcTL") or end > len(data)
        if is_needed or zlib.crc32(data[position + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
            parts.append(data[position:end])
        else:
            names.append(name.decode("latin-1"))
        position = end
    return (b"".join(parts), names) if names else (data, [])


def _read(path: Path, data: bytes, storage: Storage, layer: str | None) -> DecodedImage:
    if data[12:16] == b"CgBI":
        raise BadInput("it was rewritten for iPhone apps (CgBI), which only Apple's tools read; export a plain PNG")
    if layer is not None:
        return with_png_encoding(read_pillow(path, "PNG", storage, layer), data)
    with open_pillow(io.BytesIO(data), "PNG", storage) as header:
        width, height, info = header.width, header.height, header.info
        notes = frame_note(header, "frame")
    orientation = _orientation(_chunks(data), info)
    depth, color_type = data[24], data[25]
    try:
        import imagecodecs
    except ImportError:
        if depth == 16 and color_type != 0:
            raise BadInput("reading 16-bit colour PNG needs the package imagecodecs: pip install imagecodecs") from None
        return with_png_encoding(read_pillow(path, "PNG", storage), data)
    channels = PNG_CHANNELS[color_type] + ("transparency" in info)
    pixels = storage.new(height, width, channels, np.uint16 if depth == 16 else np.uint8)
    imagecodecs.png_decode(data, out=pixels.squeeze(2) if channels == 1 else pixels)
    image = DecodedImage(pixels, "srgb", orientation=orientation, profile=info.get("icc_profile"), notes=notes)
    return with_png_encoding(image, data)


def with_png_encoding(image: DecodedImage, data: bytes) -> DecodedImage:
    """The image with what its color chunks say.

    In the order of PNG's third edition, 4.3: code points, then the ICC profile, then sRGB, then gamma and primaries.
    """
    chunks = _chunks(data)
    codes = chunks.get(b"cICP", b"")
    if len(codes) == 4:
        image.encoding = coded_encoding(codes[0], codes[1])
        image.profile = None
    elif image.profile is None and b"sRGB" not in chunks:
        image.encoding = _measured_encoding(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))
    return image


def _measured_encoding(gamma: bytes, chromaticities: bytes) -> Encoding | None:
    """The encoding of the chunks gAMA and cHRM; None where they say nothing, or nonsense."""
    stored = int.from_bytes(gamma, "big") / 1e5 if len(gamma) == 4 else SRGB_GAMMA
    points = tuple(np.frombuffer(chromaticities, ">u4") / 1e5) if len(chromaticities) == 32 else ()
    # The chunk begins with white.
    primaries = (*points[2:], *points[:2]) if points else REC_709
    try:
        matrix = to_rec709(primaries) if 0 not in primaries[1::2] else None
    except np.linalg.LinAlgError:
        matrix = None
    plain = abs(stored - SRGB_GAMMA) <= GAMMA_TOLERANCE
    if not 0.1 < stored < 10 or (plain and matrix is None):
        return None
    name = f"a gamma of {stored:g}" + (" and its own primaries" if matrix is not None else "")
    return Encoding(name, gamma_curve(1 / stored), matrix)


def _orientation(chunks: dict[bytes, bytes], info: Mapping[Any, Any]) -> int:
    """EXIF's orientation: in its own chunk, also behind the pixels, in ImageMagick's text, or in XMP; else 1.

    Pillow's own `getexif` would decode the whole image.
    """
    from PIL.Image import Exif

    exif = chunks.get(b"eXIf", b"")
    text = info.get("Raw profile type exif")
    if not exif and isinstance(text, str):
        exif = bytes.fromhex("".join(text.split("\n")[3:]))
    if exif:
        tags = Exif()
        tags.load(exif if exif.startswith(b"Exif\0\0") else b"Exif\0\0" + exif)
        return tags.get(ORIENTATION, 1)
    match = XMP_ORIENTATION.search(str(info.get("XML:com.adobe.xmp", "")))
    return int(match[1]) if match else 1


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks other than pixels, the first of each name."""
    chunks: dict[bytes, bytes] = {}
    position = 8
    while position + 8 <= len(data):
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if name not in (b"IDAT", b"fdAT"):
            chunks.setdefault(name, data[position + 8 : position + 8 + length])
        position += 12 + length
    return chunks
