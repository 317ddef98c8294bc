"""Read MetaImage files (.mhd with data beside it, .mha).

Our own reader, because the packages that read them are ITK's, of more than 100 MB. Facts of the format are from
MetaIO's documentation.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import MAX_CHANNELS, Voxels, check_frame, check_size, placed_voxels

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# Bytes in which a header ends.
MAX_HEADER = 1 << 16
# Names under which programs write the same thing.
MATRIX = ("transformmatrix", "orientation", "rotation")
ORIGIN = ("offset", "position", "origin")


def read_metaimage(file: Path, max_voxels: int, frame: int) -> Voxels:
    """Read a MetaImage file; of a series, the volume with the number `frame`. Its space is LPS, in millimetres.

    Raises:
        BadInput: the header lacks something or contradicts itself, or data is missing or cut off.
    """
    header, end = _header(file)
    sizes = [int(size) for size in _required(header, "dimsize").split()]
    channels = int(header.get("elementnumberofchannels", "1"))
    if len(sizes) not in (3, 4) or channels > MAX_CHANNELS or min(sizes) < 1:
        raise BadInput(f"has the size {sizes} with {channels} channels; a volume has 3 axes and up to {MAX_CHANNELS}")
    count = sizes[3] if len(sizes) == 4 else 1
    check_size([*sizes[:3], channels], max_voxels)
    notes = check_frame(count, frame)
    name = _required(header, "elementtype").upper().removesuffix("_ARRAY")
    if name not in TYPES:
        raise BadInput(f"has elements of the type {name}, which is not supported")
    big = header.get("elementbyteordermsb", header.get("binarydatabyteordermsb", "false")).lower() == "true"
    dtype = np.dtype(TYPES[name]).newbyteorder(">" if big else "<")
    if header.get("binarydata", "true").lower() == "false":
        raise BadInput("has its data as text, which is not supported; save it as binary")
    needed = math.prod(sizes) * channels * dtype.itemsize
    data = _data(file, header, end, needed)
    array = np.frombuffer(data, dtype).reshape(*sizes[::-1], channels)
    array = array[frame] if len(sizes) == 4 else array
    return placed_voxels(array if channels > 1 else array[..., 0], _affine(header, len(sizes)), "mm", "LPS", notes)


def _header(file: Path) -> tuple[dict[str, str], int]:
    """Fields in lower case, and where the header ends in the file."""
    with open(file, "rb") as opened:
        head = opened.read(MAX_HEADER)
    fields: dict[str, str] = {}
    at = 0
    while at < len(head):
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        line = head[at:end].decode("latin-1").strip().removeprefix("\ufeff").removeprefix("ï»¿")
        at = end + 1
        key, equals, value = line.partition("=")
        if not equals and line:
            break
        if equals:
            fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            return fields, at
    raise BadInput("is not a MetaImage header: it has no line ElementDataFile")


def _required(header: dict[str, str], key: str) -> str:
    if key not in header:
        raise BadInput(f"has no line {key} in its header")
    return header[key]


def _data(file: Path, header: dict[str, str], end: int, needed: int) -> bytes:
    """The bytes of the voxels, unpacked."""
    name = header["elementdatafile"]
    if name.upper() == "LOCAL":
        content = file.read_bytes()[end:]
    else:
        content = b"".join(_part(file, part, header) for part in _part_names(file, name, end))
    if header.get("compresseddata", "false").lower() == "true":
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib's header or gzip's
        content = unpacker.decompress(content, needed + 1)
    elif name.upper() == "LOCAL" and header.get("headersize") == "-1":
        content = content[-needed:]
    if len(content) < needed:
        raise BadInput(f"is cut off: its header announces {needed:,} bytes of voxels and {len(content):,} are there")
    return content[:needed]


def _part_names(file: Path, name: str, end: int) -> list[str]:
    """Names of the files with the data: one, a list after the header, or a pattern such as "slice%03d.raw 1 9 1"."""
    if name.upper().startswith("LIST"):
        return file.read_bytes()[end:].decode("utf-8", "replace").split()
    words = name.split()
    if "%" in name and len(words) >= 3:
        first, last = int(words[1]), int(words[2])
        step = int(words[3]) if len(words) > 3 else 1
        return [words[0] % number for number in range(first, last + 1, step)]
    return [name]


def _part(file: Path, name: str, header: dict[str, str]) -> bytes:
    path = file.parent / name.replace("\\", "/")
    if not path.is_file():
        raise BadInput(f"its data should be in {name}, which is not beside it")
    content = path.read_bytes()
    skipped = int(header.get("headersize", "0"))
    if skipped < 0:
        # What precedes the voxels is all that is too much; known for a file of its own only.
        sizes = [int(size) for size in header["dimsize"].split()]
        dtype = np.dtype(TYPES[header["elementtype"].upper()])
        channels = int(header.get("elementnumberofchannels", "1"))
        skipped = max(0, len(content) - math.prod(sizes) * channels * dtype.itemsize)
    return content[skipped:]


def _affine(header: dict[str, str], dimensions: int) -> np.ndarray:
    """`[4, 4]` from indices to LPS: `TransformMatrix` has the direction of each axis as a row."""
    spacing = _numbers(header, ("elementspacing", "elementsize"), dimensions, default=[1.0] * dimensions)
    matrix = _numbers(header, MATRIX, dimensions**2, default=np.eye(dimensions).ravel().tolist())
    origin = _numbers(header, ORIGIN, dimensions, default=[0.0] * dimensions)
    affine = np.eye(4)
    directions = np.array(matrix).reshape(dimensions, dimensions)[:3, :3]
    affine[:3, :3] = directions.T * np.abs(np.array(spacing[:3]))
    affine[:3, 3] = origin[:3]
    return affine


def _numbers(header: dict[str, str], keys: tuple[str, ...], count: int, default: list[float]) -> list[float]:
    for key in keys:
        if key in header:
            found = [float(text) for text in header[key].split()]
            if len(found) != count:
                raise BadInput(f"has {len(found)} numbers in the line {key} of its header, and needs {count}")
            return found
    return default
