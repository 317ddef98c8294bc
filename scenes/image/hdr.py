"""Radiance HDR (.hdr, .pic): shared-exponent linear light, as float32."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage

# The last line of the header: which axis the rows run along, and which way. "-Y 600 +X 800" is upright.
RESOLUTION = re.compile(r"([-+][XY]) +(\d+) +([-+][XY]) +(\d+)")
# The same as EXIF's number.
ORIENTATIONS = {"-Y+X": 1, "-Y-X": 2, "+Y-X": 3, "+Y+X": 4, "+X-Y": 5, "-X-Y": 6, "-X+Y": 7, "+X+Y": 8}


def read_hdr(path: Path, storage: Storage) -> DecodedImage:
    """Numbers are divided by the header's EXPOSURE, so that they are radiance as the format defines it."""
    import imagecodecs

    data = path.read_bytes()
    header, axes, first, second, start = _split(data)
    exposure, notes = 1.0, []
    for line in header:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            raise BadInput(f"its colours are {value.decode('latin-1').strip()}, which is not read; save it as RGBE")
        if key == b"EXPOSURE":
            exposure *= float(value)
    if axes not in ORIENTATIONS:
        raise ValueError("its resolution line names one axis twice")
    pixels = storage.new(first, second, 3, np.float32)
    imagecodecs.rgbe_decode(data[start:], header=False, rle=True, out=pixels)
    if exposure not in (0.0, 1.0):
        pixels /= np.float32(exposure)
        notes.append(f"divided by its exposure of {exposure:g}")
    return DecodedImage(pixels, "linear", orientation=ORIENTATIONS[axes], notes=notes)


def _split(data: bytes) -> tuple[list[bytes], str, int, int, int]:
    """The header's lines, the axes as "-Y+X", the sizes along them, and where the pixels begin."""
    head, blank, _ = data[: 1 << 16].partition(b"\n\n")
    begin = len(head) + 2
    end = data.find(b"\n", begin)
    match = RESOLUTION.fullmatch(data[begin:end].decode("latin-1").strip()) if blank and end > 0 else None
    if match is None:
        raise ValueError("its header has no resolution line")
    axis, first, other, second = match.groups()
    return head.splitlines()[1:], axis + other, int(first), int(second), end + 1
