"""Encoders of glTF's extension EXT_meshopt_compression (Khronos, appendix A): triangles and vertex attributes.

three.js and Babylon.js decode it. For Python there is only a pre-release of an encoder, so it is written here, from the
specification of the bitstream.
"""

from __future__ import annotations

from collections import deque

import numpy as np

# First bytes of the two bitstreams.
TRIANGLES_HEADER, ATTRIBUTES_HEADER = 0xE1, 0xA0
# Entries of both first-in-first-out queues, and how many of them a code can name.
FIFO = 16
NAMED_EDGES, NAMED_VERTICES = 15, 13
# Frequent kinds of triangles that begin anew: for the second and the third corner, 0 is a new vertex, and k the
# k-th last of the queue. The last two bytes are reserved.
CODE_AUX = (0x00, 0x01, 0x10, 0x12, 0x21, 0x20, 0x02, 0x13, 0x31, 0x23, 0x32, 0x30, 0x03, 0x14, 0, 0)
# A corner that is written out.
EXPLICIT = 0xF
# Elements of a group, largest block of elements in bytes and in elements, and least size of the tail in bytes.
GROUP, BLOCK_BYTES, BLOCK_ELEMENTS, TAIL_BYTES = 16, 8192, 256, 32


class _TriangleEncoder:
    """State that encoder and decoder share while triangles are coded one after the other."""

    def __init__(self, num_vertices: int) -> None:
        self.codes = bytearray()
        self.data = bytearray()
        # New index of each vertex, or -1.
        self.renamed = [-1] * num_vertices
        self.order: list[int] = []
        self.edges: deque[tuple[int, int]] = deque(maxlen=FIFO)
        self.vertices: deque[int] = deque(maxlen=FIFO)
        self.last = 0

    def add_from_edge(self, position: int, a: int, b: int, c: int) -> None:
        """Code a triangle whose edge (a, b) is at a position of the queue."""
        if self.renamed[c] < 0:
            self._rename(c)
            kind, is_recent = 0, False
        else:
            recent = self._recent(c)
            is_recent = 0 < recent < NAMED_VERTICES
            index = self.renamed[c]
            if is_recent:
                kind = recent
            elif abs(index - self.last) == 1:
                kind = 0xD if index < self.last else 0xE
                self.last = index
            else:
                kind = EXPLICIT
                self._write_index(index)
        self.codes.append(position << 4 | kind)
        self.edges.appendleft((c, b))
        self.edges.appendleft((a, c))
        if not is_recent:
            self.vertices.appendleft(c)

    def add_alone(self, a: int, b: int, c: int) -> None:
        """Code a triangle without a known edge. Its first corner is a new vertex if it has any."""
        begins = self.renamed[a] < 0
        if begins:
            self._rename(a)
        explicit = [] if begins else [a]
        pushed, kinds = [a], []
        for corner in (b, c):
            if self.renamed[corner] < 0:
                self._rename(corner)
                kind = 0
            else:
                recent = self._recent(corner)
                kind = recent + 1 if 0 <= recent < EXPLICIT - 1 else EXPLICIT
                if kind == EXPLICIT:
                    explicit.append(corner)
            if kind in (0, EXPLICIT):
                pushed.append(corner)
            kinds.append(kind)
        pair = kinds[0] << 4 | kinds[1]
        if begins and pair in CODE_AUX[:-2]:
            self.codes.append(0xF0 | CODE_AUX.index(pair))
        else:
            # A pair of zeros would restart the numbering; it is in the table, and here the first corner is old.
            self.codes.append(0xFE if begins else 0xFF)
            self.data.append(pair)
            for corner in explicit:
                self._write_index(self.renamed[corner])
        self.edges.extendleft([(b, a), (c, b), (a, c)])
        self.vertices.extendleft(pushed)

    def _rename(self, vertex: int) -> None:
        self.renamed[vertex] = len(self.order)
        self.order.append(vertex)

    def _recent(self, vertex: int) -> int:
        """The position of a vertex in its queue, or -1."""
        try:
            return self.vertices.index(vertex)
        except ValueError:
            return -1

    def _write_index(self, index: int) -> None:
        """Write the difference from the last written index: sign in the lowest bit, seven bits a byte."""
        delta = index - self.last
        value = ~(delta << 1) if delta < 0 else delta << 1
        while value >= 0x80:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)
        self.last = index


def encode_triangles(faces: np.ndarray, num_vertices: int) -> tuple[bytes, np.ndarray]:
    """Triangles `[F, 3]` in another order, coded in about 1.5 bytes each, and the new order of the vertices `[V]`.

    Each triangle is followed by a neighbor of a recent one if any is left, one whose corners are all known if possible.
    Vertices are numbered as triangles first use them; `order[new index]` is the old one. Orientations stay.
    """
    faces = np.asarray(faces, np.int64)
    keys = faces * num_vertices + np.roll(faces, -1, axis=1)
    # The corner, counted over all triangles, at which each directed edge begins.
    corner_of = dict(zip(keys.reshape(-1).tolist(), range(faces.size)))
    corners = faces.reshape(-1).tolist()
    done = bytearray(len(faces))
    encoder = _TriangleEncoder(num_vertices)
    waiting = 0
    for _ in range(len(faces)):
        found = _next_to_edge(encoder, corner_of, corners, done, num_vertices)
        if found is not None:
            position, face, apex = found
            a, b = encoder.edges[position]
            encoder.add_from_edge(position, a, b, apex)
        else:
            while done[waiting]:
                waiting += 1
            face = waiting
            a, b, c = corners[3 * face : 3 * face + 3]
            for _ in range(2):
                if encoder.renamed[a] >= 0:
                    a, b, c = b, c, a
            encoder.add_alone(a, b, c)
        done[face] = 1
    unused = [vertex for vertex in range(num_vertices) if encoder.renamed[vertex] < 0]
    stream = bytes([TRIANGLES_HEADER]) + encoder.codes + encoder.data + bytes(CODE_AUX)
    return bytes(stream), np.array(encoder.order + unused, np.int64)


def _next_to_edge(
    encoder: _TriangleEncoder, corner_of: dict[int, int], corners: list[int], done: bytearray, num_vertices: int
) -> tuple[int, int, int] | None:
    """The position of an edge in the queue, the triangle there that is not coded yet, and its third corner.

    A triangle whose third corner is known is taken first, else that of the oldest edge, which would be lost soonest.
    """
    found = None
    for position, (a, b) in enumerate(encoder.edges):
        if position == NAMED_EDGES:
            break
        corner = corner_of.get(a * num_vertices + b)
        if corner is None or done[corner // 3]:
            continue
        face = corner // 3
        apex = corners[3 * face + (corner + 2) % 3]
        # A triangle with twice the same corner has no such edges as its neighbor expects.
        if apex in (a, b):
            continue
        found = position, face, apex
        if encoder.renamed[apex] >= 0:
            break
    return found


def encode_attributes(rows: np.ndarray) -> bytes:
    """Rows `[n, stride]` uint8, of which each is a vertex, as differences from the row before.

    stride is a multiple of 4 and at most 256.
    """
    count, stride = rows.shape
    if stride % 4 or stride > 256:
        raise ValueError(f"rows have a multiple of 4 bytes, up to 256, not {stride}")
    previous = np.concatenate([rows[:1], rows[:-1]])
    delta = (rows - previous).astype(np.int8)
    # Small differences of either sign become small numbers: 0, -1, 1, -2 and so on are 0, 1, 2, 3.
    zigzag = ((delta.astype(np.int16) << 1) ^ (delta.astype(np.int16) >> 7)).astype(np.uint8)
    block = min(BLOCK_BYTES // stride // GROUP * GROUP, BLOCK_ELEMENTS)
    stream = bytearray([ATTRIBUTES_HEADER])
    for start in range(0, count, block):
        stream += _encode_block(zigzag[start : start + block])
    tail = rows[0].tobytes()
    return bytes(stream) + bytes(max(TAIL_BYTES - stride, 0)) + tail


def _encode_block(values: np.ndarray) -> bytearray:
    """A block of differences `[n, stride]` uint8: byte by byte of the rows, in groups of 16 of 0, 2, 4 or 8 bits."""
    num_groups = -(-len(values) // GROUP)
    groups = np.zeros((values.shape[1], num_groups * GROUP), np.uint8)
    groups[:, : len(values)] = values.T
    groups = groups.reshape(-1, num_groups, GROUP)
    sizes = np.stack(
        [
            np.where(groups.any(axis=2), GROUP + 1, 0),
            4 + (groups >= 3).sum(axis=2),
            8 + (groups >= 15).sum(axis=2),
            np.full(groups.shape[:2], GROUP),
        ]
    )
    modes = sizes.argmin(axis=0)
    two = np.minimum(groups, 3).reshape(*groups.shape[:2], 4, 4)
    four = np.minimum(groups, 15).reshape(*groups.shape[:2], 8, 2)
    packed_two = (two << np.array([6, 4, 2, 0], np.uint8)).sum(axis=3, dtype=np.uint8)
    packed_four = (four << np.array([4, 0], np.uint8)).sum(axis=3, dtype=np.uint8)
    header_modes = np.zeros((len(groups), -(-num_groups // 4) * 4), np.uint8)
    header_modes[:, :num_groups] = modes
    headers = (header_modes.reshape(len(groups), -1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2, dtype=np.uint8)
    stream = bytearray()
    for column in range(len(groups)):
        stream += headers[column].tobytes()
        for group in range(num_groups):
            mode = modes[column, group]
            content = groups[column, group]
            if mode == 1:
                stream += packed_two[column, group].tobytes() + content[content >= 3].tobytes()
            elif mode == 2:
                stream += packed_four[column, group].tobytes() + content[content >= 15].tobytes()
            elif mode == 3:
                stream += content.tobytes()
    return stream
