"""Decoder of glTF's extension EXT_meshopt_compression (Khronos, appendix A), version 0 of its bitstreams.

Written from the specification of the bitstreams. On Python's package index there is a pre-release of bindings only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Elements of a group, and largest block in bytes and in elements.
GROUP, BLOCK_BYTES, BLOCK_ELEMENTS = 16, 8192, 256
ATTRIBUTES_HEADER, TRIANGLES_HEADER, SEQUENCE_HEADER = 0xA0, 0xE1, 0xD1
# Bits of a value in the four kinds of groups.
GROUP_BITS = (0, 2, 4, 8)


def decode_view(stream: bytes, entry: dict[str, Any]) -> bytes:
    """The bytes of a compressed buffer view, as its extension object describes it.

    Raises ValueError for a damaged stream, and for versions that are not known.
    """
    count, stride, mode = int(entry["count"]), int(entry["byteStride"]), entry["mode"]
    if mode == "ATTRIBUTES":
        rows = _decode_attributes(stream, count, stride)
        return _filtered(rows, stride, entry.get("filter", "NONE")).tobytes()
    if mode == "TRIANGLES":
        index = _decode_triangles(stream, count)
    elif mode == "INDICES":
        index = _decode_sequence(stream, count)
    else:
        raise ValueError(f"mode {mode}")
    return index.astype({2: "<u2", 4: "<u4"}[stride]).tobytes()


def _check_header(stream: bytes, header: int) -> None:
    if not stream or stream[0] != header:
        raise ValueError(f"version {stream[0] & 15 if stream else 'none'} of the bitstream is not known")


def _decode_attributes(stream: bytes, count: int, stride: int) -> np.ndarray:
    """Rows `[count, stride]` uint8."""
    _check_header(stream, ATTRIBUTES_HEADER)
    data = np.frombuffer(stream, np.uint8)
    tail = max(stride, 32)
    last = data[len(data) - stride :].copy()
    if len(data) < 1 + tail:
        raise ValueError("it ends early")
    block = min(BLOCK_BYTES // stride // GROUP * GROUP, BLOCK_ELEMENTS)
    rows = np.empty((count, stride), np.uint8)
    at = 1
    for start in range(0, count, block):
        size = min(block, count - start)
        groups = -(-size // GROUP)
        deltas = np.zeros((groups * GROUP, stride), np.uint8)
        for column in range(stride):
            header = data[at : at + -(-groups // 4)]
            at += len(header)
            for group in range(groups):
                bits = GROUP_BITS[header[group // 4] >> (2 * (group % 4)) & 3]
                at = _decode_group(data, at, bits, deltas[group * GROUP : (group + 1) * GROUP, column])
        if at > len(data) - tail:
            raise ValueError("it ends early")
        # 0, 1, 2, 3 stand for 0, -1, 1, -2.
        differences = (deltas >> 1) ^ (0 - (deltas & 1))
        rows[start : start + size] = (np.cumsum(differences, axis=0, dtype=np.uint8) + last)[:size]
        last = rows[start + size - 1]
    return rows


def _decode_group(data: np.ndarray, at: int, bits: int, out: np.ndarray) -> int:
    """Decode 16 values into `out`. Returns where the next group begins."""
    if bits == 0:
        return at
    if bits == 8:
        out[:] = data[at : at + GROUP]
        return at + GROUP
    packed = data[at : at + 2 * bits]
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    values = (packed[:, None] >> shifts & ((1 << bits) - 1)).reshape(-1)
    at += 2 * bits
    # The largest value says that a whole byte follows the group.
    wide = np.flatnonzero(values == (1 << bits) - 1)
    values[wide] = data[at : at + len(wide)]
    out[:] = values
    return at + len(wide)


def _filtered(rows: np.ndarray, stride: int, name: str) -> np.ndarray:
    """Undo a filter of the extension."""
    if name == "NONE":
        return rows
    if name == "EXPONENTIAL":
        words = rows.view("<i4")
        exponent, mantissa = words >> 24, (words << 8) >> 8
        return np.ldexp(mantissa.astype(np.float64), exponent).astype("<f4")
    kind = {("OCTAHEDRAL", 4): "<i1", ("OCTAHEDRAL", 8): "<i2", ("QUATERNION", 8): "<i2"}.get((name, stride))
    if kind is None:
        raise ValueError(f"filter {name} with {stride} bytes")
    values = rows.view(kind).astype(np.float64)
    largest = float(np.iinfo(kind).max)
    out = rows.view(kind).copy()
    if name == "OCTAHEDRAL":
        x, y, one = values[:, 0], values[:, 1], np.maximum(values[:, 2], 1)
        z = one - np.abs(x) - np.abs(y)
        fold = np.maximum(-z, 0)
        x, y = x - np.copysign(fold, x), y - np.copysign(fold, y)
        vectors = np.stack([x, y, z], axis=1)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
        out[:, :3] = np.rint(vectors / lengths * largest)
        return out
    last = rows.view("<i2")[:, 3].astype(np.int64)
    scale = 1 / (np.sqrt(2) * (last | 3))
    small = values[:, :3] * scale[:, None]
    largest_component = np.sqrt(np.maximum(1 - (small**2).sum(axis=1), 0))
    places = (last[:, None] & 3) + np.array([1, 2, 3])
    np.put_along_axis(out, places % 4, np.rint(small * largest).astype("<i2"), axis=1)
    np.put_along_axis(out, last[:, None] & 3, np.rint(largest_component * largest).astype("<i2")[:, None], axis=1)
    return out


def _decode_sequence(stream: bytes, count: int) -> np.ndarray:
    """Indices `[count]` of a list, each as a difference from one of two earlier ones."""
    _check_header(stream, SEQUENCE_HEADER)
    result, last, at = [], [0, 0], 1
    for _ in range(count):
        value, at = _varint(stream, at)
        baseline, value = value & 1, value >> 1
        last[baseline] = (last[baseline] + ((value >> 1) ^ -(value & 1))) & 0xFFFFFFFF
        result.append(last[baseline])
    return np.array(result, np.int64)


def _varint(stream: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next one begins."""
    value = shift = 0
    while True:
        byte = stream[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _decode_triangles(stream: bytes, count: int) -> np.ndarray:
    """Indices `[count]` of triangles, each of which may share an edge with one of the 15 edges before."""
    _check_header(stream, TRIANGLES_HEADER)
    triangles = count // 3
    aux = stream[len(stream) - 16 :]
    edges: list[tuple[int, int]] = [(0, 0)] * 16
    vertices = [0] * 16
    edge_at = vertex_at = 0
    next_vertex = last = 0
    at = 1 + triangles
    result: list[int] = []

    def push_edge(a: int, b: int) -> None:
        nonlocal edge_at
        edges[edge_at] = (a, b)
        edge_at = (edge_at + 1) & 15

    def push_vertex(vertex: int) -> None:
        nonlocal vertex_at
        vertices[vertex_at] = vertex
        vertex_at = (vertex_at + 1) & 15

    def explicit() -> int:
        nonlocal at, last
        value, at = _varint(stream, at)
        last = (last + ((value >> 1) ^ -(value & 1))) & 0xFFFFFFFF
        return last

    def corner(kind: int) -> int:
        nonlocal next_vertex
        if kind == 0:
            next_vertex += 1
            return next_vertex - 1
        return explicit() if kind == 15 else vertices[(vertex_at - kind) & 15]

    for triangle in range(triangles):
        code = stream[1 + triangle]
        if code < 0xF0:
            a, b = edges[(edge_at - 1 - (code >> 4)) & 15]
            kind = code & 15
            if kind == 0:
                c = next_vertex
                next_vertex += 1
                push_vertex(c)
            elif kind < 13:
                c = vertices[(vertex_at - 1 - kind) & 15]
            else:
                # One below or above the last index that was written out, or another one.
                last = last - 1 if kind == 13 else last + 1 if kind == 14 else explicit()
                c = last
                push_vertex(c)
            push_edge(c, b)
            push_edge(a, c)
        else:
            if code < 0xFE:
                pair, first = aux[code & 15], 0
            else:
                pair, first = stream[at], 0 if code == 0xFE else 15
                at += 1
                if pair == 0:
                    next_vertex = 0
            # Corners are read in their order, as written-out ones are differences from the one before.
            a = corner(first)
            b = corner(pair >> 4)
            c = corner(pair & 15)
            push_edge(b, a)
            push_edge(c, b)
            push_edge(a, c)
            push_vertex(a)
            if pair >> 4 in (0, 15):
                push_vertex(b)
            if pair & 15 in (0, 15):
                push_vertex(c)
        result += (a, b, c)
    return np.array(result, np.int64)
