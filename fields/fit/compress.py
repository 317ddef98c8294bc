"""Fields made small: quantised and entropy-coded into a file that holds everything needed to use them again.

NeRV's recipe (Chen et al. 2021, section 3.3) with two differences: zero is a level of the quantiser, so what was pruned
(`fields.fit.prune`) stays zero and needs no mask; and sizes are those of the file, scales and tables included.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields.field import Field
from fields.methods.base import Method
from fields.methods.radiance import build_field
from fields.methods.registry import make_method
from scenes.atomic import atomic_write_bytes
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

MAGIC = b"FSQ1"


def quantised(tensor: Tensor, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of the tensor's shape in ±(2^(bits-1) - 1), and a scale float32 for each of its first axis."""
    most = 2 ** (bits - 1) - 1
    values = tensor.detach().cpu().numpy().astype(np.float32)
    rows = values.reshape(len(values), -1)
    scales = (np.abs(rows).max(axis=1) / most).astype(np.float32)
    safe = np.where(scales > 0, scales, 1)
    return np.clip(np.rint(rows / safe[:, None]), -most, most).astype(np.int16).reshape(values.shape), scales


def pack(field: Field, method: Method, bits: int = 8) -> bytes:
    """The field as bytes: tensors of two axes or more at `bits` (2 to 8) a number before entropy coding, others as float16.

    A scale for each row of a tensor (output channel of a layer); one table of frequencies for all numbers.
    """
    if not 2 <= bits <= 8:
        raise BadInput(f"{bits} bits a number cannot be coded; give 2 to 8")
    most = 2 ** (bits - 1) - 1
    symbols, scales, rest, layout = [], [], [], []
    for name, tensor in field.state_dict().items():
        layout.append([name, list(tensor.shape)])
        if tensor.dim() > 1:
            numbers, scale = quantised(tensor, bits)
            symbols.append(numbers.ravel())
            scales.append(scale)
        else:
            rest.append(tensor.detach().cpu().numpy().astype(np.float16).ravel())
    stream = np.concatenate(symbols).astype(np.int32) + most if symbols else np.zeros(0, np.int32)
    counts = np.bincount(stream, minlength=2 * most + 1).astype(np.uint32)
    coded = _encode(stream, counts)
    header = {"method": method.name, "options": method.model_dump(), "domain": field.domain.to_json(), "channels": field.channels.to_json(),
              "bits": bits, "layout": layout}
    parts = [zlib.compress(json.dumps(header).encode(), 9), zlib.compress(counts.tobytes(), 9), _joined(scales, np.float32),
             _joined(rest, np.float16), coded]
    return MAGIC + struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)


def unpack(content: bytes) -> Field:
    """The field of `pack`'s bytes; every weight is exactly what the quantiser made of it."""
    try:
        if content[:4] != MAGIC:
            raise ValueError("it does not begin like one")
        sizes = struct.unpack_from("<5I", content, 4)
        if len(content) != 24 + sum(sizes):
            raise ValueError("it is cut off")
        parts, start = [], 24
        for size in sizes:
            parts.append(content[start:start + size])
            start += size
        header = json.loads(zlib.decompress(parts[0]))
        counts = np.frombuffer(zlib.decompress(parts[1]), np.uint32)
        scales, rest = np.frombuffer(parts[2], np.float32), np.frombuffer(parts[3], np.float16)
        most = 2 ** (header["bits"] - 1) - 1
        stream = _decode(parts[4], counts) - most
        state = {}
        for name, shape in header["layout"]:
            count = math.prod(shape)
            if len(shape) > 1:
                rows = stream[:count].reshape(shape[0], -1).astype(np.float32) * scales[:shape[0], None]
                stream, scales = stream[count:], scales[shape[0]:]
                state[name] = torch.from_numpy(rows.reshape(shape))
            else:
                state[name] = torch.from_numpy(rest[:count].astype(np.float32).reshape(shape))
                rest = rest[count:]
        method = make_method(header["method"], header["options"])
        field = build_field(method, Domain.from_json(header["domain"]), Channels.from_json(header["channels"]), seed=0)
        field.load_state_dict(state)
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (damage shows in any of the libraries)
        raise BadInput(f"not a whole compressed field ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from None
    return field


def save_compressed(path: Path, field: Field, method: Method, bits: int = 8) -> int:
    """Writes `pack`'s bytes, whole or not at all; how many they are."""
    content = pack(field, method, bits)
    atomic_write_bytes(path, content)
    return len(content)


def load_compressed(path: Path) -> Field:
    try:
        return unpack(Path(path).read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _joined(arrays: list[np.ndarray], dtype: type) -> bytes:
    return np.concatenate(arrays).astype(dtype).tobytes() if arrays else b""


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
