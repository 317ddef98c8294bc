"""Read the plain formats of Netpbm (PBM, PGM, PPM, PAM), PFM, and numpy's arrays in files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, row_strips

# A token of a Netpbm header, after blanks and comments.
TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)")
# PAM ends its header with this line.
PAM_END = b"ENDHDR\n"
# Magic number: number of channels. Each has a form in text and one in bytes.
PNM_CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}
PFM_CHANNELS = {b"PF": 3, b"Pf": 1, b"PF4": 4}


def read_pnm(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read a Netpbm file. Values are scaled to the full range of 8 or 16 bits, and taken as sRGB."""
    data = path.read_bytes()
    if data.startswith(b"P7"):
        return _read_pam(data, storage)
    kind = data[:2]
    tokens, position = _tokens(data, 3 if kind in (b"P1", b"P4") else 4)
    width, height = (int(token) for token in tokens[1:3])
    largest = int(tokens[3]) if len(tokens) > 3 else 1
    channels = PNM_CHANNELS[kind]
    storage.check(height, width)
    count = height * width * channels
    if kind == b"P4":
        rows = np.frombuffer(data, np.uint8, height * -(-width // 8), position + 1).reshape(height, -1)
        values = 1 - np.unpackbits(rows, axis=1)[:, :width]
    elif kind == b"P1":  # its bits need no blanks between them
        bits = re.sub(rb"#[^\n]*\n|\s", b"", data[position:])[:count]
        values = 1 - (np.frombuffer(bits, np.uint8, count) - ord("0"))
    elif kind in (b"P2", b"P3"):
        numbers = re.sub(rb"#[^\n]*", b"", data[position:]).split(maxsplit=count)[:count]
        values = np.array(numbers, dtype=np.int64) if len(numbers) == count else None
    else:
        values = np.frombuffer(data, ">u2" if largest > 255 else np.uint8, count, position + 1)
    if values is None:
        raise ValueError(f"it has fewer than {count} values")
    return DecodedImage(_scaled(values.reshape(height, width, channels), largest, storage), "srgb")


def _read_pam(data: bytes, storage: Storage) -> DecodedImage:
    head, _, body = data.partition(PAM_END)
    fields = dict(line.split(maxsplit=1) for line in head.decode("latin-1").splitlines() if len(line.split()) > 1)
    height, width, channels = (int(fields[name]) for name in ("HEIGHT", "WIDTH", "DEPTH"))
    largest = int(fields["MAXVAL"])
    storage.check(height, width)
    if not 1 <= channels <= 4:
        raise BadInput(f"it has {channels} channels; save it as grey or RGB, with or without alpha")
    values = np.frombuffer(body, ">u2" if largest > 255 else np.uint8, height * width * channels)
    return DecodedImage(_scaled(values.reshape(height, width, channels), largest, storage), "srgb")


def _tokens(data: bytes, count: int) -> tuple[list[bytes], int]:
    """The first tokens of a header, and the position behind them."""
    tokens: list[bytes] = []
    position = 0
    for _ in range(count):
        match = TOKEN.match(data, position)
        if match is None:
            raise ValueError("its header is cut off")
        tokens.append(match[1])
        position = match.end()
    return tokens, position


def _scaled(values: np.ndarray, largest: int, storage: Storage) -> np.ndarray:
    """Integers up to `largest` as uint8 or uint16 over their full range."""
    if not 1 <= largest <= 65535:
        raise ValueError(f"its largest value is {largest}")
    pixels = storage.like(values, np.uint8 if largest <= 255 else np.uint16)
    full = np.iinfo(pixels.dtype).max
    for rows in row_strips(values.shape[0], values.shape[1]):
        pixels[rows] = values[rows] if largest == full else np.rint(values[rows] * (full / largest))
    return pixels


def read_pfm(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read a PFM file: linear light, rows from the bottom; the sign of its scale tells the order of bytes."""
    data = path.read_bytes()
    (kind, width, height, scale), position = _tokens(data, 4)
    shape = (int(height), int(width), PFM_CHANNELS[kind])
    storage.check(*shape[:2])
    order = "<f4" if float(scale) < 0 else ">f4"
    values = np.frombuffer(data, order, int(np.prod(shape)), position + 1).reshape(shape)
    pixels = storage.like(values, np.float32)
    pixels[...] = values[::-1]
    return DecodedImage(pixels, "linear")


def is_picture_array(path: Path) -> bool:
    """Whether an `.npy` file holds a picture: `[H, W]`, or `[H, W, 3 or 4]`. Damaged files do not."""
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except Exception:  # noqa: BLE001  (numpy raises many types for damaged headers)
        return False
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4)


def read_npy(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read an array `[H, W]` or `[H, W, 1 to 4]`.

    Integers are sRGB over 8 or 16 bits, whichever holds them. Floats are display values where all lie in [0, 1], else
    linear light.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] > 4 or 0 in array.shape:
        raise BadInput(f"an array of shape {list(array.shape)} is no image; an image is [H, W] or [H, W, 1 to 4]")
    if array.dtype.kind not in "biuf":
        raise BadInput(f"its values are of the type {array.dtype}, which images do not have")
    storage.check(*array.shape[:2])
    low, high = array.min(), array.max()
    space, largest = "srgb", 1
    if array.dtype == bool:
        dtype, largest = np.uint8, 255
    elif array.dtype.kind == "f" or low < 0 or high > 65535:
        dtype, space = np.float32, "srgb" if low >= 0 and high <= 1 else "linear"
    else:
        dtype = np.uint8 if high <= 255 and array.dtype != np.uint16 and array.dtype.name != ">u2" else np.uint16
    notes = []
    if np.dtype(dtype) == np.float32:
        notes.append("its values are taken as " + ("display values (sRGB)" if space == "srgb" else "linear light"))
    elif array.dtype.kind != "b" and array.dtype.itemsize > np.dtype(dtype).itemsize:
        notes.append(f"its {array.dtype} values are taken as {8 * np.dtype(dtype).itemsize} bits")
    pixels = storage.like(array, dtype)
    for rows in row_strips(*array.shape[:2]):
        pixels[rows] = array[rows] if largest == 1 else array[rows] * np.uint8(largest)
    return DecodedImage(pixels, space, notes=notes)
