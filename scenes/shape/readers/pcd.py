"""PCD files of the Point Cloud Library: text, binary, and compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import color_fractions
from scenes.shape.geometry import Cloud
from scenes.shape.readers.columns import cloud_colors, numbers

NORMALS = ("normal_x", "normal_y", "normal_z")


def read(path: Path) -> Cloud:
    """The points of a PCD file. Raises BadInput where it is damaged, or a library is missing."""
    content = path.read_bytes()
    header, start = _header(path, content)
    table = _table(path, header, content[start:])
    columns = {name: table[name] for name in table.dtype.names or ()}
    if not {"x", "y", "z"} <= set(columns):
        raise BadInput(f"{path}: has no fields x, y and z; export it again")
    notes: list[str] = []
    cloud = Cloud(np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1), notes=notes)
    if set(NORMALS) <= set(columns):
        cloud.normals = np.stack([columns[name].astype(np.float64) for name in NORMALS], axis=1)
    packed = next((columns[name] for name in ("rgb", "rgba") if name in columns), None)
    if packed is not None:
        # Three bytes in the bits of a number, even where that is said to be a float.
        bits = packed.astype(np.float32).view(np.uint32) if packed.dtype.kind == "f" else packed.astype(np.uint32)
        cloud.colors = np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1) / 255
    elif {"r", "g", "b"} <= set(columns):
        cloud.colors, note = color_fractions(np.stack([columns[name] for name in "rgb"], axis=1))
        notes += [note] if note else []
    else:
        cloud.colors = cloud_colors(columns, notes)
    return cloud


def _header(path: Path, content: bytes) -> tuple[dict[str, list[str]], int]:
    """Words of the header by its keys, and where the data begin."""
    header: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in header:
        end = content.find(b"\n", at)
        if end < 0:
            raise BadInput(f"{path}: has no whole header of a PCD file; it may be cut short: export it again")
        words = content[at:end].decode("latin-1").split()
        if words and not words[0].startswith("#"):
            header[words[0].upper()] = words[1:]
        at = end + 1
    for name in ("FIELDS", "SIZE", "TYPE"):
        if not header.get(name):
            raise BadInput(f"{path}: its header has no line {name}; export it again")
    return header, at


def _table(path: Path, header: dict[str, list[str]], body: bytes) -> np.ndarray:
    """The fields as columns of a structured array; only the first value of a field with several."""
    names = header["FIELDS"]
    counts = [int(word) for word in header.get("COUNT", ["1"] * len(names))]
    kinds = [f"<{kind.lower()}{size}" for kind, size in zip(header["TYPE"], header["SIZE"])]
    # Padding is called "_", more than once.
    unique = [name if name != "_" else f"_{index}" for index, name in enumerate(names)]
    rows = int(header.get("POINTS", ["0"])[0]) or int(header["WIDTH"][0]) * int(header["HEIGHT"][0])
    form = header["DATA"][0].lower()
    if form == "ascii":
        return _text(path, body, unique, kinds, counts, rows)
    dtype = np.dtype([(name, kind, (count,)) for name, kind, count in zip(unique, kinds, counts)])
    if form == "binary":
        if len(body) < dtype.itemsize * rows:
            raise BadInput(
                f"{path}: announces {rows} points and holds {len(body) // dtype.itemsize}; it is cut short: export it "
                "again"
            )
        table = np.frombuffer(body, dtype, rows)
        return _first(table, unique, kinds)
    if form != "binary_compressed":
        raise BadInput(f"{path}: its data are of the form {form}, which no PCD file has")
    packed, size = (int(np.frombuffer(body, "<u4", 1, at)[0]) for at in (0, 4))
    data = _decompressed(path, body[8 : 8 + packed], size)
    result, at = np.empty(rows, [(name, kind) for name, kind in zip(unique, kinds)]), 0
    # Compressed files have all values of the first field first.
    for name, kind, count in zip(unique, kinds, counts):
        values = np.frombuffer(data, kind, rows * count, at)
        result[name] = values.reshape(rows, count)[:, 0] if count else 0
        at += values.nbytes
    return result


def _decompressed(path: Path, packed: bytes, size: int) -> bytes:
    try:
        from imagecodecs import lzf_decode
    except ImportError as error:
        raise BadInput(
            f"{path}: its points are compressed; pip install 'field-studio[formats]', or save it as binary"
        ) from error
    try:
        data = bytes(lzf_decode(packed, out=size))
    except Exception as error:  # noqa: BLE001  (the codec has its own types of errors)
        raise BadInput(f"{path}: its compressed points are damaged or cut short: export it again") from error
    if len(data) < size:
        raise BadInput(f"{path}: its compressed points are damaged or cut short: export it again")
    return data


def _first(table: np.ndarray, names: list[str], kinds: list[str]) -> np.ndarray:
    result = np.empty(len(table), [(name, kind) for name, kind in zip(names, kinds)])
    for name in names:
        result[name] = table[name][:, 0] if table[name].shape[1] else 0
    return result


def _text(path: Path, body: bytes, names: list[str], kinds: list[str], counts: list[int], rows: int) -> np.ndarray:
    try:
        values, width = numbers(body), sum(counts)
    except ValueError as error:
        raise BadInput(f"{path}: has text between its numbers ({error}); export it again") from error
    if len(values) < width * rows:
        raise BadInput(
            f"{path}: announces {rows} points and holds {len(values) // width}; it is cut short: export it again"
        )
    values = values[: width * rows].reshape(rows, width)
    # float64, so that large coordinates keep their digits whatever the size of the field.
    columns, result = np.cumsum([0, *counts]), {}
    for name, kind, start in zip(names, kinds, columns):
        result[name] = values[:, start].astype(np.float64 if kind[1] == "f" else kind)
        if name in ("rgb", "rgba") and kind[1] == "f":
            # Some programs write the bits as a float, others as a whole number under that type.
            whole = values[:, start] == np.round(values[:, start])
            if whole.all() and values[:, start].max() >= 1:
                result[name] = values[:, start].astype(np.uint32)
    table = np.empty(rows, [(name, result[name].dtype) for name in names])
    for name in names:
        table[name] = result[name]
    return table
