"""The container of glTF files: JSON, buffers inside and beside the file, accessors (glTF 2.0, sections 3.6 and 4)."""

from __future__ import annotations

import base64
import binascii
import json
import struct
import urllib.parse
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.shape.readers.images import beside
from scenes.shape.readers.meshopt import decode_view

DTYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")


class GltfFile:
    """A .gltf or .glb file.

    Attributes:
        path: of the file.
        tree: the JSON object.
        files: other files that were read so far.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises BadInput where it is damaged, or of version 1."""
        self.path = path
        self.files: list[Path] = []
        content = path.read_bytes()
        self._binary = b""
        if content[:4] == b"glTF":
            content = self._chunks(content)
        try:
            self.tree: dict[str, Any] = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise self.damaged("its JSON text is damaged") from error
        if not isinstance(self.tree, dict) or not isinstance(self.tree.get("asset", {}), dict):
            raise self.damaged("its JSON text describes no scene")
        version = str(self.tree.get("asset", {}).get("version", "?"))
        if not version.startswith("2"):
            raise BadInput(f"{path}: is of glTF version {version}; only 2 is read: convert it")
        self._views: dict[int, bytes] = {}
        self._buffers: dict[int, bytes] = {}

    def damaged(self, what: str) -> BadInput:
        """An error that says what is wrong with the file."""
        return BadInput(f"{self.path}: {what}; it may be cut short: export it again")

    def items(self, name: str) -> list[dict[str, Any]]:
        """The objects of an array of the file, such as "meshes"."""
        return self.tree.get(name) or []

    def item(self, name: str, index: int) -> dict[str, Any]:
        """One object of an array of the file. Raises BadInput where there is none."""
        entries = self.items(name)
        if not 0 <= index < len(entries):
            raise self.damaged(f"it refers to number {index} of its {len(entries)} {name}")
        return entries[index]

    @cached_property
    def required(self) -> list[str]:
        """Names of the extensions without which the file cannot be read."""
        return list(self.tree.get("extensionsRequired") or [])

    def _chunks(self, content: bytes) -> bytes:
        """The JSON text of a GLB; its binary chunk is kept."""
        text, at = b"", 12
        if len(content) < 12 or struct.unpack("<I", content[8:12])[0] > len(content):
            raise self.damaged("it is shorter than it announces")
        while at + 8 <= len(content):
            length, kind = struct.unpack("<I4s", content[at : at + 8])
            chunk = content[at + 8 : at + 8 + length]
            if kind == b"JSON" and not text:
                text = chunk
            elif kind == b"BIN\0" and not self._binary:
                self._binary = chunk
            at += 8 + length + -length % 4
        return text

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            entry = self.item("buffers", index)
            uri = entry.get("uri")
            content = self._binary if uri is None else self.uri_content(uri)
            if content is None:
                raise BadInput(f"{self.path}: cannot be read as a shape: its data are in {uri}, which is not beside it")
            if len(content) < entry.get("byteLength", 0):
                raise self.damaged(f"its buffer {index} has {len(content)} of {entry['byteLength']} bytes")
            self._buffers[index] = content
        return self._buffers[index]

    def uri_content(self, uri: str) -> bytes | None:
        """The bytes that a URI stands for, inside of it or in a file beside; None where that is not there."""
        if uri.startswith("data:"):
            head, _, data = uri.partition(",")
            try:
                return base64.b64decode(data) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(data)
            except binascii.Error as error:
                raise self.damaged("data inside of its text are damaged") from error
        file = beside(self.path, urllib.parse.unquote(uri)) or beside(self.path, uri)
        if file is None:
            return None
        self.files.append(file)
        return file.read_bytes()

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view, decompressed."""
        if index in self._views:
            return self._views[index]
        entry = self.item("bufferViews", index)
        extensions = entry.get("extensions", {})
        packed = next((extensions[name] for name in MESHOPT if name in extensions), None)
        source = packed or entry
        start = source.get("byteOffset", 0)
        content = self._buffer(source["buffer"])[start : start + source["byteLength"]]
        if len(content) < source["byteLength"]:
            raise self.damaged(f"its buffer view {index} reaches beyond its buffer")
        if packed:
            try:
                content = decode_view(content, packed)
            except (ValueError, IndexError) as error:
                raise self.damaged(f"its compressed buffer view {index} cannot be decoded ({error})") from error
        self._views[index] = content
        return content

    def accessor(self, index: int) -> np.ndarray:
        """The values of an accessor, `[n, width]`: float64 for floats and normalized integers, else int64.

        Sparse accessors are filled in; those without a buffer view are zeros.
        """
        entry = self.item("accessors", index)
        try:
            dtype, width = np.dtype(DTYPES[entry["componentType"]]), WIDTHS[entry["type"]]
            count = int(entry["count"])
        except (KeyError, ValueError) as error:
            raise self.damaged(f"its accessor {index} is of an unknown type") from error
        values = np.zeros((count, width), dtype)
        if "bufferView" in entry:
            values = self._rows(entry["bufferView"], entry.get("byteOffset", 0), dtype, width, count)
        if sparse := entry.get("sparse"):
            number = int(sparse["count"])
            places, changed = sparse["indices"], sparse["values"]
            index_type = np.dtype(DTYPES[places["componentType"]])
            rows = self._rows(places["bufferView"], places.get("byteOffset", 0), index_type, 1, number, packed=True)
            values = values.copy()
            if number and int(rows.max()) >= count:
                raise self.damaged(f"its sparse accessor {index} replaces values that it does not have")
            start = changed.get("byteOffset", 0)
            values[rows[:, 0]] = self._rows(changed["bufferView"], start, dtype, width, number, packed=True)
        if dtype.kind == "f":
            return values.astype(np.float64)
        if entry.get("normalized"):
            largest = np.iinfo(dtype).max
            return np.maximum(values / largest, -1.0)
        return values.astype(np.int64)

    def _rows(
        self, view: int, offset: int, dtype: np.dtype, width: int, count: int, *, packed: bool = False
    ) -> np.ndarray:
        """Rows `[count, width]` of a buffer view."""
        content = self.view(view)
        size = dtype.itemsize * width
        stride = size if packed else self.item("bufferViews", view).get("byteStride") or size
        if count and offset + stride * (count - 1) + size > len(content):
            raise self.damaged("an accessor reaches beyond its buffer view")
        return (
            np.ndarray((count, width), dtype, content, offset, (stride, dtype.itemsize))
            if count
            else np.zeros((0, width), dtype)
        )
