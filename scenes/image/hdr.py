"""Read Radiance HDR (.hdr, .pic): linear light with a shared exponent, as float32."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage

# Last line of the header: the axes that rows and columns run along, and their directions. "-Y 600 +X 800" is upright.
RESOLUTION = re.compile(r"([-+][XY]) +(\d+) +([-+][XY]) +(\d+)")
# Axes of the resolution line, and EXIF's number of the same orientation.
ORIENTATIONS = {"-Y+X": 1, "-Y-X": 2, "+Y-X": 3, "+Y+X": 4, "+X-Y": 5, "-X-Y": 6, "-X+Y": 7, "+X+Y": 8}
# The header is within this many bytes.
MAX_HEADER = 1 << 16


class Header(NamedTuple):
    """Parts of the header: its lines, the axes as in `ORIENTATIONS`, the sizes along them, where the pixels begin."""

    lines: list[bytes]
    axes: str
    rows: int
    columns: int
    pixels_at: int


def read_hdr(path: Path, storage: Storage) -> DecodedImage:
    """Read an image. Values are divided by the header's EXPOSURE, so that they are radiance as the format defines."""
    import imagecodecs

    data = path.read_bytes()
    header = _parse_header(data)
    exposure, notes = 1.0, []
    for line in header.lines:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            name = value.decode("latin-1").strip()
            raise BadInput(f"its colours are {name}, which is not supported; save it as RGBE")
        if key == b"EXPOSURE":
            exposure *= float(value)
    if header.axes not in ORIENTATIONS:
        raise ValueError("its resolution line names one axis twice")
    pixels = storage.new(header.rows, header.columns, 3, np.float32)
    imagecodecs.rgbe_decode(data[header.pixels_at :], header=False, rle=True, out=pixels)
    if exposure not in (0.0, 1.0):
        pixels /= np.float32(exposure)
        notes.append(f"divided by its exposure of {exposure:g}")
    return DecodedImage(pixels, "linear", orientation=ORIENTATIONS[header.axes], notes=notes)


def _parse_header(data: bytes) -> Header:
    """Parse the header. Raises ValueError where there is none."""
    head, blank, _ = data[:MAX_HEADER].partition(b"\n\n")
    begin = len(head) + 2
    end = data.find(b"\n", begin)
    match = RESOLUTION.fullmatch(data[begin:end].decode("latin-1").strip()) if blank and end > 0 else None
    if match is None:
        raise ValueError("its header has no resolution line")
    first_axis, rows, second_axis, columns = match.groups()
    return Header(head.splitlines()[1:], first_axis + second_axis, int(rows), int(columns), end + 1)
