"""Read JPEG into the array that holds the pixels: 8 and 12 bits, lossless, and JPEG-LS.

libjpeg (through imagecodecs) writes into an array that may be a mapped file. Pillow reads the headers, and CMYK.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.pillow import ORIENTATION, open_pillow, read_pillow
from scenes.image.storage import Storage, row_strips

# Markers: start of scan, end of image, and those without a length.
START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"
BARE_MARKERS = (0x01, *range(0xD0, 0xD9))
# Markers that begin a frame: what they are coded by.
FRAMES = {
    0xC0: "baseline",
    0xC1: "extended",
    0xC2: "progressive",
    0xC3: "lossless",
    0xC9: "arithmetic",
    0xCA: "progressive arithmetic",
    0xF7: "JPEG-LS",
}
UNSUPPORTED_FRAMES = (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
# What files with an HDR gain map beside the picture hold in their metadata.
GAIN_MAP_MARKS = (b"http://ns.adobe.com/hdr-gain-map/", b"urn:iso:std:iso:ts:21496")
# Bytes of the metadata that are searched.
METADATA_BYTES = 1 << 17


@dataclass(frozen=True)
class Frame:
    """What the frame header says, and where the entropy-coded data begins."""

    coding: str
    bits: int
    height: int
    width: int
    channels: int
    scan_at: int


def read_jpeg(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read a JPEG. Raises ValueError where its end is missing, BadInput for codings that no library reads."""
    if layer is not None:
        return read_pillow(path, "JPEG", storage, layer)
    data = path.read_bytes()
    frame = parse_frame(data)
    storage.check(frame.height, frame.width)
    notes = []
    data, end_note = _completed(data, frame)
    if end_note:
        notes.append(end_note)
    if any(mark in data[:METADATA_BYTES] for mark in GAIN_MAP_MARKS):
        notes.append("its HDR gain map is left out: the picture of standard range is read")
    plain = frame.bits == 8 and frame.coding != "lossless" and frame.coding != "JPEG-LS"
    if plain and frame.channels in (1, 3):
        image = _read_8bit(data, frame, path, storage)
    elif plain:
        image = read_pillow(path, "JPEG", storage, inverted_cmyk=b"Adobe" in data[: frame.scan_at])
    else:
        image = _read_deep(data, frame, storage)
    image.notes[:0] = notes
    return image


def parse_frame(data: bytes) -> Frame:
    """Parse the markers up to the first scan; fill bytes and bytes between segments are skipped.

    Raises ValueError where there is no frame or no scan.
    """
    position, frame = 2, None
    while True:
        position = data.find(b"\xff", position)
        while position >= 0 and data[position + 1 : position + 2] == b"\xff":
            position += 1
        if position < 0 or position + 4 > len(data):
            raise ValueError("the end is missing" if frame else "it has no frame")
        marker = data[position + 1]
        if marker == 0 or marker in BARE_MARKERS:
            position += 2
            continue
        if marker == START_OF_SCAN:
            break
        body = data[position + 4 : position + 12]
        if marker in UNSUPPORTED_FRAMES:
            raise BadInput("it is a hierarchical JPEG, which no library here reads; save it as a usual one")
        if marker in FRAMES and frame is None and len(body) >= 6:
            bits, height, width, channels = body[0], body[1:3], body[3:5], body[5]
            frame = (FRAMES[marker], bits, int.from_bytes(height, "big"), int.from_bytes(width, "big"), channels)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if frame is None:
        raise ValueError("it has no frame")
    if frame[2] == 0 and frame[3]:
        raise BadInput("its height is written behind its pixels (DNL), which no library here reads; save it anew")
    return Frame(*frame, scan_at=position)


def _completed(data: bytes, frame: Frame) -> tuple[bytes, str | None]:
    """The data with an end-of-image marker, and a note where it was missing and all pixels are there.

    libjpeg fills missing pixels with grey without an error. Bytes that follow the last pixel change nothing, but those
    that stand in for missing pixels do: so two decodings with different bytes tell.

    Raises ValueError where pixels are missing.
    """
    if data.find(END_OF_IMAGE, frame.scan_at) >= 0:
        return data, None
    if frame.coding != "progressive" and frame.bits == 8 and frame.channels in (1, 3):
        import PIL.Image

        random = np.random.default_rng(0)
        seen = []
        for tail in (b"", random.integers(0, 255, 1000, np.uint8).tobytes()):
            with PIL.Image.open(io.BytesIO(data + tail + END_OF_IMAGE), formats=["JPEG"]) as opened:
                seen.append(np.asarray(opened))
        if np.array_equal(*seen):
            return data + END_OF_IMAGE, "its end marker is missing, but all pixels are there"
    raise ValueError("the end is missing")


def _read_8bit(data: bytes, frame: Frame, path: Path, storage: Storage) -> DecodedImage:
    with open_pillow(io.BytesIO(data), "JPEG", storage) as header:
        info, orientation = header.info, header.getexif().get(ORIENTATION, 1)
    try:
        import imagecodecs
    except ImportError:
        return read_pillow(path, "JPEG", storage)
    pixels = storage.new(frame.height, frame.width, frame.channels, np.uint8)
    imagecodecs.jpeg8_decode(data, out=pixels.squeeze(2) if frame.channels == 1 else pixels)
    return DecodedImage(pixels, "srgb", orientation=orientation, profile=info.get("icc_profile"))


def _read_deep(data: bytes, frame: Frame, storage: Storage) -> DecodedImage:
    """Read what Pillow does not know: more than 8 bits, lossless coding, JPEG-LS. Values are scaled to full range."""
    import imagecodecs

    if frame.channels not in (1, 3):
        raise BadInput(f"it has {frame.channels} channels of {frame.bits} bits; save it as RGB or grey")
    decode = imagecodecs.jpegls_decode if frame.coding == "JPEG-LS" else imagecodecs.jpeg8_decode
    decoded = decode(data).reshape(frame.height, frame.width, frame.channels)
    pixels = storage.like(decoded, np.uint8 if frame.bits <= 8 else np.uint16)
    scale = np.iinfo(pixels.dtype).max / (2**frame.bits - 1)
    for rows in row_strips(frame.height, frame.width):
        pixels[rows] = np.rint(decoded[rows] * scale)
    return DecodedImage(pixels, "srgb", notes=[f"{frame.bits}-bit {frame.coding} JPEG"])
