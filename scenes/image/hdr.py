"""Read Radiance HDR (.hdr, .pic): linear light with a shared exponent, as float32."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import LINEAR, Encoding, coded_encoding, identity, to_rec709
from scenes.image.storage import Storage

# Last line of the header: the axes that rows and columns run along, and their directions. "-Y 600 +X 800" is upright.
RESOLUTION = re.compile(r"([-+][XY]) +(\d+) +([-+][XY]) +(\d+)")
# Axes of the resolution line, and EXIF's number of the same orientation.
ORIENTATIONS = {"-Y+X": 1, "-Y-X": 2, "+Y-X": 3, "+Y+X": 4, "+X-Y": 5, "-X-Y": 6, "-X+Y": 7, "+X+Y": 8}
# The header is within this many bytes.
MAX_HEADER = 1 << 16
# Rows of these widths may be coded component by component, beginning with these bytes.
CODED_WIDTHS = range(8, 32768)
CODED_ROW = b"\2\2"
# Colours: RGB, or CIE XYZ under the white E.
RGBE, XYZE = b"32-bit_rle_rgbe", b"32-bit_rle_xyze"
XYZ_PRIMARIES = 10
# Radiance's own primaries under the white E, which it writes where nothing was measured: taken as Rec. 709.
EQUAL = (0.64, 0.33, 0.29, 0.6, 0.15, 0.06, 0.3333, 0.3333)


class Header(NamedTuple):
    """Parts of the header: its lines, the axes as in `ORIENTATIONS`, the sizes along them, where the pixels begin."""

    lines: list[bytes]
    axes: str
    rows: int
    columns: int
    pixels_at: int


def read_hdr(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read an image. Values are divided by the header's EXPOSURE, so that they are radiance as the format defines."""
    data = path.read_bytes()
    header = _parse_header(data)
    exposure, notes, encoding = 1.0, [], None
    for line in header.lines:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() not in (RGBE, XYZE):
            name = value.decode("latin-1").strip()
            raise BadInput(f"its colours are {name}, which is not supported; save it as RGBE")
        if key == b"FORMAT" and value.strip() == XYZE:
            encoding = coded_encoding(XYZ_PRIMARIES, LINEAR)
        if key == b"PRIMARIES" and (matrix := _primaries_matrix(value)) is not None:
            encoding = Encoding("primaries other than Rec. 709", identity, matrix)
        if key == b"EXPOSURE":
            exposure *= float(value)
        if key == b"COLORCORR" and len({float(part) for part in value.split()}) > 1:
            notes.append("its color correction is left as it is")
    if header.axes not in ORIENTATIONS:
        raise ValueError("its resolution line names one axis twice")
    pixels = storage.new(header.rows, header.columns, 3, np.float32)
    stored = data[header.pixels_at :]
    if header.columns in CODED_WIDTHS and stored.startswith(CODED_ROW):
        import imagecodecs

        imagecodecs.rgbe_decode(stored, header=False, rle=True, out=pixels)
    else:
        _decode_pixels(stored, pixels)
    if exposure not in (0.0, 1.0):
        pixels /= np.float32(exposure)
        notes.append(f"divided by its exposure of {exposure:g}")
    orientation = ORIENTATIONS[header.axes]
    return DecodedImage(pixels, "linear", orientation=orientation, encoding=encoding, notes=notes)


def _decode_pixels(data: bytes, pixels: np.ndarray) -> None:
    """Decode pixel after pixel into `[H, W, 3]`: plain, or with the format's older run lengths.

    A pixel of 1, 1, 1, N repeats the one before N times; directly after another such, N counts 256-fold.
    """
    height, width = pixels.shape[:2]
    stored = np.frombuffer(data, np.uint8, len(data) // 4 * 4).reshape(-1, 4)
    is_run = (stored[:, :3] == 1).all(axis=1)
    counts = np.ones(len(stored), np.int64)
    runs = np.flatnonzero(is_run)
    shift = 0
    for index, run in enumerate(runs):
        shift = shift + 8 if index and runs[index - 1] == run - 1 else 0
        counts[run] = int(stored[run, 3]) << min(shift, 24)
    last = np.maximum.accumulate(np.where(is_run, 0, np.arange(len(stored))))
    ends = np.cumsum(counts)
    needed = int(np.searchsorted(ends, height * width)) + 1
    if needed > len(stored):
        raise ValueError(f"it holds {int(ends[-1]) if len(ends) else 0} of {height * width} pixels")
    counts[needed - 1] -= ends[needed - 1] - height * width
    rgbe = stored[np.repeat(last[:needed], counts[:needed])]
    scale = np.where(rgbe[:, 3] > 0, np.exp2(rgbe[:, 3].astype(np.float32) - 136), 0).astype(np.float32)
    pixels.reshape(-1, 3)[...] = rgbe[:, :3] * scale[:, None]


def _primaries_matrix(value: bytes) -> np.ndarray | None:
    """The matrix of the header's primaries; None where they are Rec. 709's, or nonsense."""
    try:
        points = tuple(float(part) for part in value.split())
        return to_rec709(points) if len(points) == 8 and 0 not in points[1::2] and points != EQUAL else None
    except (ValueError, np.linalg.LinAlgError):
        return None


def _parse_header(data: bytes) -> Header:
    """Parse the header; lines may end as on Windows. Raises ValueError where there is none."""
    head = data[:MAX_HEADER]
    match = re.search(rb"\r?\n\r?\n([^\r\n]*)\r?\n", head)
    resolution = RESOLUTION.fullmatch(match[1].decode("latin-1").strip()) if match else None
    if match is None or resolution is None:
        raise ValueError("its header has no resolution line")
    first_axis, rows, second_axis, columns = resolution.groups()
    lines = [line.strip() for line in head[: match.start()].splitlines()[1:]]
    return Header(lines, first_axis + second_axis, int(rows), int(columns), match.end())
