"""Fields in small files: quantized and entropy-coded weights, with everything that is needed to use them again.

The recipe is NeRV's (Chen et al. 2021, section 3.3) with two differences: zero is a level of the quantiser, so that
pruned weights (`fields.fit.prune`) stay zero and need no mask; and sizes are those of the file, scales and tables
included.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fields.kinds import COMPRESSED
from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.renamed import current_header, current_state
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes

T = TypeVar("T")

# First bytes of a file, and the version of what follows.
MAGIC = COMPRESSED
FORMAT = 2
# Sizes of the five parts of a file, behind the first bytes.
SIZES = struct.Struct("<5I")
# Largest header, unpacked; one with the cameras of a thousand photographs has a megabyte.
MAX_HEADER_BYTES = 1 << 26
# A row of a tensor with at least so many values has a scale of its own.
LONG_ROW = 64
# Rows that are shorter share a scale, as many as hold so many values; more in large tensors, as a scale takes 4 bytes.
VALUES_PER_SCALE = LONG_ROW
VALUES_PER_SCALE_LARGE = 256
LARGE_TENSOR = 1 << 14
# A tensor whose values are whole multiples of one scale to within this fraction of it needs no other scale.
ON_SCALE = 1e-3


def quantized(tensor: Tensor, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Round a tensor to whole multiples of scales.

    Returns the multiples (int16 of the tensor's shape, from -(2^(bits-1) - 1) to 2^(bits-1) - 1), a float32 scale for
    each group of rows, and the number of rows in a group. Rows run along the first axis.
    """
    largest = 2 ** (bits - 1) - 1
    values = tensor.detach().cpu().numpy().astype(np.float32)
    group = rows_per_scale(values, largest)
    rows = values.reshape(len(values), -1)
    extremes = np.maximum.reduceat(np.abs(rows).max(axis=1), np.arange(0, len(rows), group))
    scales = (extremes / largest).astype(np.float32)
    divisors = np.repeat(np.where(scales > 0, scales, 1), group)[: len(rows)]
    levels = np.clip(np.rint(rows / divisors[:, None]), -largest, largest)
    return levels.astype(np.int16).reshape(values.shape), scales, group


def rows_per_scale(values: np.ndarray, largest: int) -> int:
    """Number of rows of the first axis that share a scale; `largest` is the largest multiple of a scale.

    One where rows are long or belong to a convolution (output channels), several where they are short (tables), and
    all where the tensor lies on one scale already, as after training for 8 bits.
    """
    length = values[0].size
    scale = np.abs(values).max() / largest
    if scale > 0 and np.abs(values / scale - np.rint(values / scale)).max() < ON_SCALE:
        return len(values)
    if length >= LONG_ROW or values.ndim > 2:
        return 1
    return -(-(VALUES_PER_SCALE_LARGE if values.size > LARGE_TENSOR else VALUES_PER_SCALE) // length)


def pack(field: Field, method: Method, bits: int = 8, about: dict | None = None) -> bytes:
    """A field as bytes, which `unpack` reads.

    Tensors of two axes or more have `bits` (2 to 8) per value before entropy coding, with one frequency table for all;
    others are float16, or float32 where float16 cannot hold them; buffers stay as they are. `about` is plain data that
    is stored with the field, such as a run's header. Raises BadInput for other numbers of bits.
    """
    if not 2 <= bits <= 8:
        raise BadInput(f"`bits={bits}`: weights are coded with 2 to 8 bits per value")
    largest = 2 ** (bits - 1) - 1
    levels: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    rest: list[bytes] = []
    layout: list[list] = []
    buffers = {name for name, _ in field.named_buffers()}
    for name, tensor in field.state_dict().items():
        values = tensor.detach().cpu().numpy()
        trained = name not in buffers and tensor.is_floating_point()
        if trained and tensor.dim() > 1 and values.size:
            of_tensor, scale, group = quantized(tensor, bits)
            levels.append(of_tensor.ravel())
            scales.append(scale)
            layout.append([name, list(values.shape), group])
        else:
            values = _halved(values) if trained else values
            rest.append(values.tobytes())
            layout.append([name, list(values.shape), values.dtype.str])
    symbols = np.concatenate(levels).astype(np.int32) + largest if levels else np.zeros(0, np.int32)
    counts = np.bincount(symbols, minlength=2 * largest + 1).astype(np.uint32)
    header = {
        "format": FORMAT,
        "method": method.name,
        "options": method.model_dump(),
        "domain": field.domain.to_json(),
        "channels": field.channels.to_json(),
        "bits": bits,
        "layout": layout,
        "about": about or {},
    }
    parts = [
        zlib.compress(json.dumps(header).encode(), 9),
        zlib.compress(counts.tobytes(), 9),
        np.concatenate(scales).astype("<f4").tobytes() if scales else b"",
        zlib.compress(b"".join(rest), 9),
        _encode(symbols, counts),
    ]
    return MAGIC + SIZES.pack(*map(len, parts)) + b"".join(parts)


def unpack(content: bytes) -> Field:
    """The field of `pack`'s bytes; every weight is exactly the quantized one. Raises BadInput for damaged bytes."""
    with _damage_is_bad_input():
        header, parts = _parse(content)
        state = _unpacked_state(header, parts)
        header = current_header(header)
        method = make_method(header["method"], header["options"])
        field = method.build_field(Domain.from_json(header["domain"]), Channels.from_json(header["channels"]), seed=0)
        field.load_state_dict(current_state(state, field.state_dict()))
    return field


def about(content: bytes) -> dict:
    """The data that `pack` stored with the field, and its `bits`. Raises BadInput for damaged bytes."""
    with _damage_is_bad_input():
        header, _ = _parse(content)
        return {**header["about"], "bits": header["bits"]}


def _halved(values: np.ndarray) -> np.ndarray:
    """As float16 where all values stay finite in it, else as float32."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.isfinite(half).all() else values.astype(np.float32)


def _unpacked_state(header: dict, parts: list[bytes]) -> dict[str, Tensor]:
    counts = np.frombuffer(zlib.decompress(parts[1]), np.uint32)
    scales, rest = np.frombuffer(parts[2], "<f4"), zlib.decompress(parts[3])
    levels = _decode(parts[4], counts) - (2 ** (header["bits"] - 1) - 1)
    state: dict[str, Tensor] = {}
    for name, shape, group_or_dtype in header["layout"]:
        count = math.prod(shape)
        if isinstance(group_or_dtype, int):
            groups = -(-shape[0] // group_or_dtype)
            row_scales = np.repeat(scales[:groups], group_or_dtype)[: shape[0]]
            rows = levels[:count].reshape(shape[0], -1).astype(np.float32) * row_scales[:, None]
            levels, scales = levels[count:], scales[groups:]
            state[name] = torch.from_numpy(rows.reshape(shape))
        else:
            values = np.frombuffer(rest, group_or_dtype, count).reshape(shape)
            rest = rest[values.nbytes :]
            state[name] = torch.from_numpy(values.astype(np.float32) if values.dtype == np.float16 else values.copy())
    return state


def is_compressed(path: Path) -> bool:
    """Whether a file begins as a small file does."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def _damage_is_bad_input() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (damage shows in any of the libraries)
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"not a whole compressed field ({what})") from None


def _parse(content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The header and the five parts of a file."""
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin like one")
    sizes = SIZES.unpack_from(content, len(MAGIC))
    parts, start = [], len(MAGIC) + SIZES.size
    if len(content) != start + sum(sizes):
        raise ValueError("it is cut off")
    for size in sizes:
        parts.append(content[start : start + size])
        start += size
    header = json.loads(_unpacked(parts[0]))
    if header["format"] > FORMAT:
        raise BadInput(
            f"written by a newer Field Studio (format {header['format']}; this one reads up to {FORMAT}); update it"
        )
    return header, parts


def _unpacked(header: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(header, MAX_HEADER_BYTES)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("its header is cut off, or too large")
    return content


def save_compressed(path: Path, field: Field, method: Method, bits: int = 8, about: dict | None = None) -> int:
    """Write `pack`'s bytes to a file, whole or not at all. Returns their number."""
    content = pack(field, method, bits, about)
    atomic_write_bytes(path, content)
    return len(content)


def load_compressed(path: Path) -> Field:
    """The field of a small file."""
    return _read_file(path, unpack)


def about_compressed(path: Path) -> dict:
    """The data that a small file holds besides its field, see `about`."""
    return _read_file(path, about)


def _read_file(path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(Path(path).read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _coder_and_model(counts: np.ndarray) -> tuple[Any, Any]:
    """The library of entropy coders, and the distribution of symbols with these counts."""
    try:
        import constriction
    except ImportError:
        raise BadInput("entropy coding needs another package: pip install 'field-studio[compression]'") from None
    stream: Any = constriction.stream  # pyright: ignore[reportAttributeAccessIssue]
    return stream, stream.model.Categorical(counts.astype(np.float32) + 1e-6, perfect=False)


def _encode(symbols: np.ndarray, counts: np.ndarray) -> bytes:
    """Code symbols by asymmetric numeral systems (Duda 2009); within a thousandth of the entropy of `counts`."""
    if not len(symbols):
        return b""
    library, model = _coder_and_model(counts)
    coder = library.stack.AnsCoder()
    coder.encode_reverse(symbols, model)
    return coder.get_compressed().astype("<u4").tobytes()


def _decode(coded: bytes, counts: np.ndarray) -> np.ndarray:
    if not len(coded):
        return np.zeros(0, np.int32)
    library, model = _coder_and_model(counts)
    return library.stack.AnsCoder(np.frombuffer(coded, "<u4").astype(np.uint32)).decode(model, int(counts.sum()))
