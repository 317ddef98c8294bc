"""PLY files: any element and property, in text and in both byte orders.

Read here and not by trimesh, which takes 16-bit colours for bytes, knows no `diffuse_red`, and cuts concave polygons
into fans. (plyfile reads the tables too, and is under the GPL.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import MeshColors, Texture, color_fractions
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.polygons import strip_triangles, triangulate
from scenes.shape.readers.columns import cloud_colors, numbers
from scenes.shape.readers.images import beside_image
from scenes.shape.writers.offset import read_offset

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8", "int64": "i8", "uint64": "u8", "long": "i8", "ulong": "u8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
# Names of the columns of colours, as programs write them.
COLOR_NAMES = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("Red", "Green", "Blue"),
)
NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
# Constant term of spherical harmonics: the colour of a Gaussian is 0.5 plus this times its first coefficient.
SH0 = 0.28209479177387814
# Rows that are compared with the first of a run of equal ones, before all others are.
PIECE = 64
# What Visual C++ writes for numbers that are none.
ODD_NAN = re.compile(rb"-?(nan\(ind\)|1\.#(IND|QNAN|INF)\w*)", re.IGNORECASE)


@dataclass
class _Property:
    name: str
    type: str
    # Type of the length of a list; None for a single value.
    count: str | None = None


@dataclass
class _Element:
    name: str
    rows: int
    properties: list[_Property] = field(default_factory=list)


# The columns of an element: an array `[n]`, or for lists their values one after the other and their lengths `[n]`.
Columns = dict[str, Any]


def read(path: Path) -> Mesh | Cloud:
    """The mesh of a PLY file, or its points where it has no faces. Raises BadInput where it is damaged."""
    content = path.read_bytes()
    order, elements, comments, start = _header(path, content)
    if order == "":
        tables = _text_tables(path, content[start:], elements)
    else:
        tables = _binary_tables(path, content, start, elements, order)
    vertex = tables.get("vertex", {})
    if not {"x", "y", "z"} <= set(vertex) or not len(vertex["x"]):
        raise BadInput(f"{path}: holds no geometry (no vertices with x, y and z); export it again")
    points = np.stack([np.asarray(vertex[name], np.float64) for name in "xyz"], axis=1)
    offsets = [found for line in comments if (found := read_offset(line.encode("latin-1"))) is not None]
    points = points + offsets[0] if offsets else points
    notes: list[str] = []
    corners, counts, face = _polygons(path, tables, len(points))
    if not len(counts):
        colors = _colors(vertex, notes)
        if colors is None:
            colors = cloud_colors(vertex, notes)
        return Cloud(points, _stacked(vertex, NORMAL_NAMES), colors, notes)
    positions, polygons = triangulate(points, corners, counts)
    mesh = Mesh(points, corners[positions], notes=notes)
    mesh.colors = _mesh_colors(path, mesh, vertex, face, (positions, polygons, counts), comments)
    return mesh


def _header(path: Path, content: bytes) -> tuple[str, list[_Element], list[str], int]:
    """Byte order ("" for text), elements, comments, and where the data begin."""
    end = re.search(rb"\bend_header[ \t]*(\r\n|\n|\r)", content[: 1 << 20])
    if not content.startswith(b"ply") or end is None:
        raise BadInput(f"{path}: has no whole header of a PLY file; it may be cut short: export it again")
    order, elements, comments = "?", [], []
    for line in content[: end.start()].decode("latin-1").splitlines():
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2])))
            elif words[:2] == ["property", "list"]:
                elements[-1].properties.append(_Property(words[4], TYPES[words[3]], TYPES[words[2]]))
            elif words[:1] == ["property"]:
                elements[-1].properties.append(_Property(words[2], TYPES[words[1]]))
            elif words[:1] == ["comment"]:
                comments.append(line.strip()[len("comment") :].strip())
        except (IndexError, KeyError, ValueError) as error:
            raise BadInput(f"{path}: its header has the line {line.strip()!r}, which no PLY file has") from error
    if order == "?":
        raise BadInput(f"{path}: its header names no format; export it again")
    return order, elements, comments, end.end()


def _cut(path: Path, element: _Element, found: int) -> BadInput:
    return BadInput(
        f"{path}: announces {element.rows} entries of {element.name} and holds {found}; it is cut short: export it "
        "again"
    )


def _binary_tables(path: Path, content: bytes, at: int, elements: list[_Element], order: str) -> dict[str, Columns]:
    tables = {}
    for element in elements:
        lists = [entry for entry in element.properties if entry.count]
        runs: list[np.ndarray] = []
        rows = 0
        while rows < element.rows:
            # Rows whose lists are as long as those of the first one form a table.
            lengths, _ = _list_lengths(content, at, element, order)
            if lengths is None:
                raise _cut(path, element, rows)
            dtype = _row_type(element, lengths, order)
            fit = min((len(content) - at) // max(dtype.itemsize, 1), element.rows - rows) if dtype.itemsize else 0
            if not fit:
                raise _cut(path, element, rows)
            # Where lists differ the rest is looked at again, so a run is looked for in growing pieces.
            table = (
                np.frombuffer(content, dtype, min(fit, PIECE), at) if lists else np.frombuffer(content, dtype, fit, at)
            )
            same = _leading(table, lists, lengths)
            if lists and same == len(table) and same < fit:
                table = np.frombuffer(content, dtype, fit, at)
                same = _leading(table, lists, lengths)
            runs.append(table[:same])
            rows += same
            at += same * dtype.itemsize
        tables[element.name] = _columns(element, runs)
    return tables


def _list_lengths(content: bytes, at: int, element: _Element, order: str) -> tuple[dict[str, int] | None, int]:
    """Length of each list of the row at a position, and where the row ends; None where the content ends first."""
    lengths = {}
    for entry in element.properties:
        if entry.count is None:
            at += np.dtype(entry.type).itemsize
            continue
        kind = np.dtype(order + entry.count)
        if at + kind.itemsize > len(content):
            return None, at
        lengths[entry.name] = max(int(np.frombuffer(content, kind, 1, at)[0]), 0)
        at += kind.itemsize + lengths[entry.name] * np.dtype(entry.type).itemsize
    return lengths, at


def _row_type(element: _Element, lengths: dict[str, int], order: str) -> np.dtype:
    fields: list[Any] = []
    for entry in element.properties:
        if entry.count is None:
            fields.append((entry.name, order + entry.type))
        else:
            fields += [
                (f"#{entry.name}", order + entry.count),
                (entry.name, order + entry.type, (lengths[entry.name],)),
            ]
    return np.dtype(fields)


def _leading(table: np.ndarray, lists: list[_Property], lengths: dict[str, int]) -> int:
    """Number of the first rows whose lists have these lengths."""
    if not lists:
        return len(table)
    same = np.ones(len(table), bool)
    for entry in lists:
        same &= table[f"#{entry.name}"] == lengths[entry.name]
    return len(table) if same.all() else int(np.argmin(same))


def _columns(element: _Element, runs: list[np.ndarray]) -> Columns:
    columns: Columns = {}
    for entry in element.properties:
        if entry.count is None:
            values = [run[entry.name] for run in runs]
            columns[entry.name] = _joined(values, entry.type)
        else:
            flat = _joined([run[entry.name].reshape(-1) for run in runs], entry.type)
            counts = _joined([np.full(len(run), run[entry.name].shape[1]) for run in runs], "i8")
            columns[entry.name] = (flat, counts)
    return columns


def _joined(parts: list[np.ndarray], kind: str) -> np.ndarray:
    """Parts one after the other, in the byte order of the machine."""
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, kind)


def _text_tables(path: Path, body: bytes, elements: list[_Element]) -> dict[str, Columns]:
    try:
        values = numbers(body)
    except ValueError:
        try:
            values = numbers(ODD_NAN.sub(b"nan", body))
        except ValueError as error:
            raise BadInput(f"{path}: has text between its numbers ({error}); export it again") from error
    tables, at = {}, 0
    for element in elements:
        if not any(entry.count for entry in element.properties):
            width = len(element.properties)
            found = values[at : at + width * element.rows]
            if len(found) < width * element.rows:
                raise _cut(path, element, len(found) // max(width, 1))
            at += len(found)
            table = found.reshape(element.rows, width)
            tables[element.name] = {
                entry.name: table[:, column].astype(entry.type) if entry.type[0] != "f" else table[:, column]
                for column, entry in enumerate(element.properties)
            }
        else:
            tables[element.name], at = _text_lists(path, values, at, element)
    return tables


def _text_lists(path: Path, values: np.ndarray, at: int, element: _Element) -> tuple[Columns, int]:
    """Columns of an element with lists, and where the next one begins."""
    flat: dict[str, list[np.ndarray]] = {entry.name: [] for entry in element.properties}
    lengths: dict[str, list[np.ndarray]] = {entry.name: [] for entry in element.properties}
    row = 0
    while row < element.rows:
        starts, own, width = _text_row(values, at, element)
        fit = min((len(values) - at) // width, element.rows - row)
        if not fit:
            raise _cut(path, element, row)
        lists = [(starts[entry.name] - 1, own[entry.name]) for entry in element.properties if entry.count]
        # Rows whose lists are as long as those of the first one form a table, as in `_binary_tables`.
        same = _equal_rows(values[at : at + width * min(fit, PIECE)].reshape(-1, width), lists)
        if same == PIECE:
            same = _equal_rows(values[at : at + width * fit].reshape(-1, width), lists)
        table = values[at : at + width * same].reshape(same, width)
        for entry in element.properties:
            start, length = starts[entry.name], own[entry.name]
            flat[entry.name].append(table[:, start : start + length].reshape(-1))
            lengths[entry.name].append(np.full(same, length))
        row, at = row + same, at + width * same
    columns: Columns = {}
    for entry in element.properties:
        joined = _joined(flat[entry.name], "f8")
        joined = joined if entry.type[0] == "f" else joined.astype(entry.type)
        columns[entry.name] = joined if entry.count is None else (joined, _joined(lengths[entry.name], "i8"))
    return columns, at


def _text_row(values: np.ndarray, at: int, element: _Element) -> tuple[dict[str, int], dict[str, int], int]:
    """Where the properties of the row at a position begin in it, how long they are, and the row's length."""
    starts, lengths, width = {}, {}, 0
    for entry in element.properties:
        length = 1
        if entry.count is not None:
            length = max(int(values[at + width]), 0) if at + width < len(values) else 0
            width += 1
        starts[entry.name], lengths[entry.name] = width, length
        width += length
    return starts, lengths, width


def _equal_rows(table: np.ndarray, lists: list[tuple[int, int]]) -> int:
    """Number of the first rows whose columns have the given values. lists: (column, value)."""
    same = np.logical_and.reduce([table[:, column] == value for column, value in lists])
    return len(table) if same.all() else int(np.argmin(same))


def _polygons(path: Path, tables: dict[str, Columns], vertices: int) -> tuple[np.ndarray, np.ndarray, Columns]:
    """Corners and numbers of corners of all polygons, strips included, and the columns of the faces."""
    face = tables.get("face", {})
    corners, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for name in ("vertex_indices", "vertex_index"):
        if name in face:
            corners, counts = face[name][0].astype(np.int64), face[name][1]
    for flat, lengths in (value for value in tables.get("tristrips", {}).values() if isinstance(value, tuple)):
        triangles = _strips(flat.astype(np.int64), lengths)
        corners = np.concatenate([corners, triangles.reshape(-1)])
        counts = np.concatenate([counts, np.full(len(triangles), 3)])
    if len(corners) and (corners.min() < 0 or corners.max() >= vertices):
        raise BadInput(f"{path}: a face names vertex {corners.max()} and there are {vertices}; export it again")
    return corners, counts, face


def _strips(flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Triangles `[n, 3]` of strips, each of which begins anew after an index of -1."""
    triangles = [np.zeros((0, 3), np.int64)]
    for part in np.split(flat, np.cumsum(lengths)[:-1]):
        breaks = np.flatnonzero(part < 0)
        for strip in np.split(part, breaks):
            strip = strip[strip >= 0]
            if len(strip) >= 3:
                triangles.append(strip_triangles(strip))
    return np.concatenate(triangles)


def _stacked(columns: Columns, names: tuple[tuple[str, ...], ...]) -> np.ndarray | None:
    """Columns `[n, k]` by the first of several sets of names that is there, or None."""
    for group in names:
        if set(group) <= set(columns):
            return np.stack([np.asarray(columns[name], np.float64).reshape(-1) for name in group], axis=1)
    return None


def _colors(columns: Columns, notes: list[str]) -> np.ndarray | None:
    """sRGB `[n, 3]`, or None."""
    for group in COLOR_NAMES:
        if set(group) <= set(columns):
            fractions, note = color_fractions(np.stack([columns[name] for name in group], axis=1))
            notes += [note] if note else []
            return fractions
    if {"f_dc_0", "f_dc_1", "f_dc_2"} <= set(columns):
        notes.append("the points are Gaussians: their centres are read as points")
        coefficients = np.stack([columns[f"f_dc_{k}"] for k in range(3)], axis=1).astype(np.float64)
        return np.clip(0.5 + SH0 * coefficients, 0, 1)
    return None


def _mesh_colors(
    path: Path,
    mesh: Mesh,
    vertex: Columns,
    face: Columns,
    cut: tuple[np.ndarray, np.ndarray, np.ndarray],
    comments: list[str],
) -> MeshColors | None:
    """Colours from a texture, the vertices or the faces, in this order.

    cut: positions and polygons as of `triangulate`, and the numbers of corners.
    """
    positions, polygons, counts = cut
    images = [line.split(None, 1)[1] for line in comments if line.lower().startswith("texturefile ")]
    uv = _corner_uv(mesh, vertex, face, positions, counts)
    if images and uv is not None:
        textures = []
        for name in images:
            image, note = beside_image(path, name)
            mesh.notes += [note] if note else []
            mesh.beside += [image.path] if image else []
            textures.append(Texture(image.pixels) if image else None)
        if all(texture is not None for texture in textures):
            number = face.get("texnumber")
            texture_of = np.zeros(len(mesh.faces), np.int64) if number is None else number[polygons].astype(np.int64)
            texture_of = np.where(texture_of < len(textures), texture_of, -1)
            white = np.ones((len(mesh.faces), 3, 3))
            return MeshColors(white, uv=uv, textures=[t for t in textures if t], texture_of=texture_of)
    colors = _colors(vertex, mesh.notes)
    if colors is not None:
        return MeshColors(colors[mesh.faces])
    colors = _colors(face, mesh.notes)
    if colors is not None and len(colors) > (polygons.max() if len(polygons) else -1):
        return MeshColors(np.repeat(colors[polygons][:, None], 3, axis=1))
    return None


def _corner_uv(
    mesh: Mesh, vertex: Columns, face: Columns, positions: np.ndarray, counts: np.ndarray
) -> np.ndarray | None:
    """Texture coordinates `[F, 3, 2]` of the faces' corners or of the vertices, or None."""
    if isinstance(face.get("texcoord"), tuple):
        flat, lengths = face["texcoord"]
        if np.array_equal(lengths, 2 * counts):
            return flat.reshape(-1, 2).astype(np.float64)[positions]
    uv = _stacked(vertex, UV_NAMES)
    return None if uv is None else uv[mesh.faces]
