"""The data of a page: a header in JSON and tensors of 8, 16 or 32 bits, compressed, as text."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np
import torch

from fields.export.page.program import Tensors
from fields.runs.small_file import quantized

# Bits of rounded tensors that a page may have.
BITS = (8, 16, 32)
# Tensors of fewer values are not rounded to 8 bits: they would save nothing that counts.
MIN_ROUNDED = 64
# Values that share an exponent, and bits of the fraction of float16.
GROUP = 1024
FRACTION_BITS = 10


def encode(header: dict[str, Any], tensors: Tensors, bits: int) -> str:
    """The header and the tensors as text, which browsers inflate themselves; see `compressed`.

    Matrices and tables have `bits` (8, 16 or 32) per value; vectors and what is exact have 32. Values of several bytes
    are stored as all first bytes, then all second bytes and so on, which compresses better.
    """
    entries, blocks = [], []
    for name, values in tensors.arrays.items():
        rounded = bits if values.ndim > 1 and values.size >= MIN_ROUNDED and name not in tensors.exact else 32
        entry: dict[str, Any] = {"name": name, "role": tensors.roles[name], "shape": list(values.shape)}
        if values.dtype == np.uint16:
            blocks.append(_planes(values.astype("<u2")))
            entry["type"] = "uint16"
        elif rounded == 8:
            levels, scales, rows = quantized(torch.from_numpy(values), 8)
            blocks += [levels.astype(np.int8).tobytes(), _planes(scales.astype("<f4"))]
            entry |= {"type": "int8", "rows": int(rows), "scales": len(scales)}
        elif rounded == 16:
            multiples, exponents, rows = half_precision(values)
            blocks += [_planes(multiples.astype("<i2")), exponents.tobytes()]
            entry |= {"type": "float16", "rows": rows, "scales": len(exponents)}
        else:
            blocks.append(_planes(values.astype("<f4")))
            entry["type"] = "float32"
        entries.append(entry)
    text = json.dumps({**header, "tensors": entries}, separators=(",", ":")).encode()
    content = struct.pack("<I", len(text)) + text + b"".join(blocks)
    return compressed(content)


def compressed(content: bytes) -> str:
    """Bytes as base64 of zlib's format."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def half_precision(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Values as multiples of powers of two: int16 of the same shape, int8 exponents, and rows for each exponent.

    The power is the spacing of float16 at the largest value of each group of about `GROUP` values. So every value is a
    float16 number, is off by no more than float16 is at the largest of its group, and compresses by a fifth better.
    """
    rows = values.reshape(len(values), -1)
    group = max(1, GROUP // rows.shape[1])
    largest = np.maximum.reduceat(np.abs(rows).max(axis=1), np.arange(0, len(rows), group))
    exponents = np.clip(np.floor(np.log2(np.maximum(largest, 2.0**-100))) - FRACTION_BITS, -126, 127).astype(np.int8)
    steps = np.exp2(np.repeat(exponents, group)[: len(rows)].astype(np.float64))
    return np.rint(rows / steps[:, None]).astype(np.int16).reshape(values.shape), exponents, group


def _planes(values: np.ndarray) -> bytes:
    """The bytes of values, all first bytes first."""
    return values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
