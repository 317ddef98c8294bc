"""The binary chunk of a GLB file, and the JSON objects that describe it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.meshopt import encode_attributes

# Component types of accessors by numpy's types.
COMPONENTS = {"|i1": 5120, "|u1": 5121, "<i2": 5122, "<u2": 5123, "<u4": 5125, "<f4": 5126}
# Targets of buffer views: vertex attributes and indices.
ARRAY, INDICES = 34962, 34963
# Types of accessors by the number of components.
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
MESHOPT = "EXT_meshopt_compression"
# Attributes and buffer views begin at multiples of this many bytes.
ALIGNMENT = 4


class GltfBinary:
    """Collects buffer views and accessors.

    Attributes:
        compress: whether attributes are compressed (EXT_meshopt_compression). Decoders then fill a second buffer, of
            which the file has only the size.
        views, accessors: the JSON objects.
        length: bytes so far.
        decoded_length: bytes of the second buffer.
    """

    def __init__(self, *, compress: bool = False) -> None:
        self.compress = compress
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0
        self.decoded_length = 0
        self._parts: list[bytes | np.ndarray] = []

    def view(self, data: np.ndarray | bytes, target: int | None = None, *, stride: int | None = None) -> int:
        """Add data as a buffer view. Returns its index. stride: bytes from one vertex to the next, if stated."""
        size = data.nbytes if isinstance(data, np.ndarray) else len(data)
        entry = {"buffer": 0, "byteOffset": self.length, "byteLength": size}
        if stride:
            entry["byteStride"] = stride
        if target:
            entry["target"] = target
        self.views.append(entry)
        padding = -size % ALIGNMENT
        self._parts += [data, b"\0" * padding]
        self.length += size + padding
        return len(self.views) - 1

    def indices(self, faces: np.ndarray, num_vertices: int, stream: bytes | None = None) -> int:
        """Add triangles `[F, 3]` as an accessor of as few bytes as their indices need. Returns its index.

        stream: the same number of triangles, compressed, in place of `faces`.
        """
        # The largest value of a type is reserved (it restarts primitives).
        dtype = np.dtype("<u2" if num_vertices <= 65535 else "<u4")
        if stream is None:
            return self._accessor(np.ascontiguousarray(faces, dtype).reshape(-1), INDICES)
        view = self._compressed(stream, INDICES, count=faces.size, stride=dtype.itemsize, mode="TRIANGLES")
        entry = {"bufferView": view, "componentType": COMPONENTS[dtype.str], "count": faces.size, "type": "SCALAR"}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def attribute(self, array: np.ndarray, *, bounds: bool = False, normalized: bool = False) -> int:
        """Add a row `[n, 2 to 4]` for each vertex as an accessor. Returns its index.

        Rows are padded to a multiple of four bytes. bounds: state the least and the largest of each component.
        normalized: integers stand for fractions of their type's largest value.
        """
        return self._accessor(np.ascontiguousarray(array), ARRAY, bounds=bounds, normalized=normalized)

    def _accessor(self, array: np.ndarray, target: int, *, bounds: bool = False, normalized: bool = False) -> int:
        width = array.shape[1] if array.ndim == 2 else 1
        data, stride = array, None
        if target == ARRAY and (array.itemsize * width) % ALIGNMENT:
            stride = array.itemsize * width + -(array.itemsize * width) % ALIGNMENT
            data = np.zeros((len(array), stride // array.itemsize), array.dtype)
            data[:, :width] = array
        if self.compress and target == ARRAY:
            rows = data.view(np.uint8).reshape(len(data), -1)
            stream = encode_attributes(rows)
            view = self._compressed(stream, target, count=len(rows), stride=rows.shape[1], mode="ATTRIBUTES")
        else:
            view = self.view(data, target, stride=stride)
        entry: dict[str, Any] = {
            "bufferView": view,
            "componentType": COMPONENTS[array.dtype.str],
            "count": len(array),
            "type": TYPES[width],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"], entry["max"] = array.min(axis=0).tolist(), array.max(axis=0).tolist()
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def _compressed(self, stream: bytes, target: int, *, count: int, stride: int, mode: str) -> int:
        """Add a compressed stream as a view of the second buffer. Returns its index."""
        source = self.views.pop(self.view(stream))
        compressed = {**source, "byteStride": stride, "mode": mode, "count": count}
        entry = {
            "buffer": 1,
            "byteOffset": self.decoded_length,
            "byteLength": count * stride,
            "target": target,
            "extensions": {MESHOPT: compressed},
        }
        if target == ARRAY:
            entry["byteStride"] = stride
        self.views.append(entry)
        self.decoded_length += count * stride + -(count * stride) % ALIGNMENT
        return len(self.views) - 1

    def write(self, path: Path, tree: dict[str, Any]) -> None:
        """Write a GLB file of a JSON object and this chunk; the object gets the accessors, views and the buffer.

        Raises BadInput where the file cannot be written.
        """
        buffers: list[dict[str, Any]] = [{"byteLength": self.length}]
        if self.decoded_length:
            buffers.append({"byteLength": self.decoded_length, "extensions": {MESHOPT: {"fallback": True}}})
        tree = {**tree, "accessors": self.accessors, "bufferViews": self.views, "buffers": buffers}
        text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + self.length))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self.length, b"BIN\0"))
            for part in self._parts:
                file.write(part if isinstance(part, bytes) else part.data)
