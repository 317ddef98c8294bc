"""Fields made small: quantised and entropy-coded into a file that holds everything needed to use them again.

NeRV's recipe (Chen et al. 2021, section 3.3) with two differences: zero is a level of the quantiser, so what was pruned
(`fields.fit.prune`) stays zero and needs no mask; and sizes are those of the file, scales and tables included.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields.kinds import COMPRESSED
from fields.methods.base import Method
from fields.methods.radiance import build_field
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.renamed import current_header, current_state
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes

MAGIC = COMPRESSED
FORMAT = 2
# A row of a tensor has a scale of its own from this length on; of shorter ones, as many as hold so many numbers share one (in large tensors
# more, as scales are four bytes).
LONG, LARGE, GROUP = 64, 1 << 14, 256


def quantised(tensor: Tensor, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Whole numbers of the tensor's shape in ±(2^(bits-1) - 1), a scale float32 for each group of rows, and how many rows those are."""
    most = 2 ** (bits - 1) - 1
    values = tensor.detach().cpu().numpy().astype(np.float32)
    group = rows_a_scale(values, most)
    rows = values.reshape(len(values), -1)
    scales = (np.maximum.reduceat(np.abs(rows).max(axis=1), np.arange(0, len(rows), group)) / most).astype(np.float32)
    safe = np.repeat(np.where(scales > 0, scales, 1), group)[: len(rows)]
    return np.clip(np.rint(rows / safe[:, None]), -most, most).astype(np.int16).reshape(values.shape), scales, group


def rows_a_scale(values: np.ndarray, most: int) -> int:
    """How many rows (of the first axis) share a scale: one where rows are long or those of convolutions (output channels), several
    where they are short (tables); all, where the tensor lies on one scale already (trained for 8 bits)."""
    length = values[0].size
    scale = np.abs(values).max() / most
    if scale > 0 and np.abs(values / scale - np.rint(values / scale)).max() < 1e-3:
        return len(values)
    return 1 if length >= LONG or values.ndim > 2 else -(-(GROUP if values.size > LARGE else LONG) // length)


def pack(field: Field, method: Method, bits: int = 8, about: dict | None = None) -> bytes:
    """The field as bytes: tensors of two axes or more at `bits` (2 to 8) a number before entropy coding, others as float16
    (float32 where float16 cannot hold them), and what is not trained as it is.

    One table of frequencies for all numbers. `about` is plain data that is kept along, such as a run's header.
    """
    if not 2 <= bits <= 8:
        raise BadInput(f"{bits} bits a number cannot be coded; give 2 to 8")
    most = 2 ** (bits - 1) - 1
    symbols, scales, rest, layout = [], [], [], []
    exact = {name for name, _ in field.named_buffers()}
    for name, tensor in field.state_dict().items():
        values = tensor.detach().cpu().numpy()
        if name not in exact and tensor.dim() > 1 and tensor.is_floating_point() and values.size:
            numbers, scale, group = quantised(tensor, bits)
            symbols.append(numbers.ravel())
            scales.append(scale)
            layout.append([name, list(values.shape), group])
        else:
            if name not in exact and tensor.is_floating_point():
                with np.errstate(over="ignore"):
                    half = values.astype(np.float16)
                values = half if np.isfinite(half).all() else values.astype(np.float32)
            rest.append(values.tobytes())
            layout.append([name, list(values.shape), values.dtype.str])
    stream = np.concatenate(symbols).astype(np.int32) + most if symbols else np.zeros(0, np.int32)
    counts = np.bincount(stream, minlength=2 * most + 1).astype(np.uint32)
    coded = _encode(stream, counts)
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
        coded,
    ]
    return MAGIC + struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)


def unpack(content: bytes) -> Field:
    """The field of `pack`'s bytes; every weight is exactly what the quantiser made of it."""
    with _damage():
        header, parts = _parse(content)
        counts = np.frombuffer(zlib.decompress(parts[1]), np.uint32)
        scales, rest = np.frombuffer(parts[2], "<f4"), zlib.decompress(parts[3])
        most = 2 ** (header["bits"] - 1) - 1
        stream = _decode(parts[4], counts) - most
        state = {}
        for name, shape, how in header["layout"]:
            count = math.prod(shape)
            if isinstance(how, int):
                groups = -(-shape[0] // how)
                each = np.repeat(scales[:groups], how)[: shape[0]]
                rows = stream[:count].reshape(shape[0], -1).astype(np.float32) * each[:, None]
                stream, scales = stream[count:], scales[groups:]
                state[name] = torch.from_numpy(rows.reshape(shape))
            else:
                values = np.frombuffer(rest, how, count).reshape(shape)
                rest = rest[values.nbytes :]
                state[name] = torch.from_numpy(
                    values.astype(np.float32) if values.dtype == np.float16 else values.copy()
                )
        header = current_header(header)
        method = make_method(header["method"], header["options"])
        field = build_field(method, Domain.from_json(header["domain"]), Channels.from_json(header["channels"]), seed=0)
        field.load_state_dict(current_state(state))
    return field


def about(content: bytes) -> dict:
    """What `pack` was given to keep along; and `bits`."""
    with _damage():
        header, _ = _parse(content)
        return {**header["about"], "bits": header["bits"]}


def is_compressed(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (damage shows in any of the libraries)
        raise BadInput(
            f"not a whole compressed field ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from None


def _parse(content: bytes) -> tuple[dict, list[bytes]]:
    if content[:4] != MAGIC:
        raise ValueError("it does not begin like one")
    sizes = struct.unpack_from("<5I", content, 4)
    if len(content) != 24 + sum(sizes):
        raise ValueError("it is cut off")
    parts, start = [], 24
    for size in sizes:
        parts.append(content[start : start + size])
        start += size
    header = json.loads(zlib.decompress(parts[0]))
    if header["format"] > FORMAT:
        raise BadInput(
            f"written by a newer Field Studio (format {header['format']}; this one reads up to {FORMAT}); update it"
        )
    return header, parts


def save_compressed(path: Path, field: Field, method: Method, bits: int = 8, about: dict | None = None) -> int:
    """Writes `pack`'s bytes, whole or not at all; how many they are."""
    content = pack(field, method, bits, about)
    atomic_write_bytes(path, content)
    return len(content)


def load_compressed(path: Path) -> Field:
    return _of_file(path, unpack)


def about_compressed(path: Path) -> dict:
    return _of_file(path, about)


def _of_file(path: Path, read: Callable):
    try:
        return read(Path(path).read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _model(counts: np.ndarray):
    try:
        import constriction
    except ImportError:
        raise BadInput("entropy coding wants a package more: pip install 'field-studio[compression]'") from None
    return constriction.stream, constriction.stream.model.Categorical(counts.astype(np.float32) + 1e-6, perfect=False)


def _encode(stream: np.ndarray, counts: np.ndarray) -> bytes:
    """Asymmetric numeral systems (Duda 2009); within a thousandth of the entropy of `counts`."""
    if not len(stream):
        return b""
    library, model = _model(counts)
    coder = library.stack.AnsCoder()
    coder.encode_reverse(stream, model)
    return coder.get_compressed().astype("<u4").tobytes()


def _decode(coded: bytes, counts: np.ndarray) -> np.ndarray:
    if not len(coded):
        return np.zeros(0, np.int32)
    library, model = _model(counts)
    return library.stack.AnsCoder(np.frombuffer(coded, "<u4").astype(np.uint32)).decode(model, int(counts.sum()))
