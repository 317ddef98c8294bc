"""OBJ files: polygons, groups, materials, colours of vertices.

Read here and not by trimesh, which cuts concave polygons into fans, leaves out `Kd`, and gives one texture to all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import UNCOLORED, MeshColors, Texture, color_fractions
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.polygons import triangulate
from scenes.shape.readers.columns import numbers
from scenes.shape.readers.images import beside
from scenes.shape.readers.mtl import Material, read_materials
from scenes.shape.readers.placeholder import is_placeholder

# Statements of curved surfaces, which are not read.
CURVED = (b"curv", b"curv2", b"surf")


@dataclass
class _Content:
    """What the lines of a file hold: the words of vertices, and the corners of faces."""

    vertices: list[bytes] = field(default_factory=list)
    uv: list[bytes] = field(default_factory=list)
    normals: list[bytes] = field(default_factory=list)
    paint: list[bytes] = field(default_factory=list)
    corners: list[bytes] = field(default_factory=list)
    # Of each face: number of corners, material, and how many vertices and texture coordinates came before it.
    counts: list[int] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)
    before: list[tuple[int, int]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    curved: int = 0
    points: int = 0


def read(path: Path) -> Mesh | Cloud:
    """The mesh of an OBJ file, or its points where it has no faces. Raises BadInput where it is damaged."""
    content = _lines(path.read_bytes())
    if not content.vertices:
        raise BadInput(f"{path}: holds no geometry; it may be cut short: export it again")
    notes: list[str] = []
    if content.curved:
        notes.append(f"{content.curved} curves and curved surfaces are not read, only polygons")
    try:
        vertices, colors = _vertices(content, notes)
        index = _indices(content.corners)
    except ValueError as error:
        raise BadInput(f"{path}: has a line that is not of an OBJ file ({error}); export it again") from error
    if not content.counts:
        if content.curved:
            raise BadInput(f"{path}: has curved surfaces and no polygons; convert it to a mesh first")
        normals = _table(content.normals, 3) if len(content.normals) == len(vertices) else None
        if not content.points and normals is None:
            # A mesh that is cut short looks like this too.
            raise BadInput(
                f"{path}: has {len(vertices)} vertices and no faces; it may be cut short: export it again. A point "
                "cloud has statements p, or a normal for each vertex"
            )
        return Cloud(vertices, normals, colors, notes)
    counts = np.array(content.counts, np.int64)
    # Negative indices count back from the vertices that the file had so far.
    before = np.repeat(np.array(content.before, np.int64), counts, axis=0)
    index = np.where(index < 0, index + before, index - 1)
    corners = index[:, 0]
    if corners.min() < 0 or corners.max() >= len(vertices):
        wrong = corners.max() + 1 if corners.max() >= len(vertices) else corners.min() + 1
        raise BadInput(f"{path}: a face names vertex {wrong} and there are {len(vertices)}; export the file again")
    positions, polygons = triangulate(vertices, corners, counts)
    mesh = Mesh(vertices, corners[positions], notes=notes)
    uv = _corner_uv(content, index[:, 1], positions)
    used = np.array(content.materials, np.int64)[polygons]
    mesh.colors = _colors(path, mesh, colors, uv, _materials(path, content, mesh), used)
    return mesh


def _lines(content: bytes) -> _Content:
    """Sort the lines of a file."""
    found = _Content()
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\t", b" ")
    if b"\\\n" in content or b"\\\r" in content:
        content = content.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").replace(b"\\\r", b" ")
    material = -1
    for line in content.splitlines():
        key, _, rest = line.lstrip().partition(b" ")
        if b"#" in rest and not key.startswith(b"#") and key not in (b"usemtl", b"mtllib"):
            rest = rest.partition(b"#")[0]
        if key == b"v":
            found.vertices.append(rest)
        elif key in (b"f", b"fo"):
            words = rest.split()
            found.corners += words
            found.counts.append(len(words))
            found.materials.append(material)
            found.before.append((len(found.vertices), len(found.uv)))
        elif key == b"vt":
            found.uv.append(rest)
        elif key == b"vn":
            found.normals.append(rest)
        elif key == b"usemtl":
            material = found.names.setdefault(rest.decode("utf-8", "replace").strip(), len(found.names))
        elif key == b"mtllib":
            found.libraries.append(rest.decode("utf-8", "replace").strip())
        elif key == b"#MRGB":
            found.paint.append(rest.strip())
        elif key == b"p":
            found.points += 1
        elif key in CURVED:
            found.curved += 1
    return found


def _table(lines: list[bytes], columns: int) -> np.ndarray:
    """The first numbers of lines, `[n, columns]`; missing ones are NaN. Raises ValueError where one is no number."""
    values = numbers(b" ".join(lines))
    width = len(lines[0].split()) if lines else columns
    if width >= columns and len(values) == width * len(lines):
        return np.ascontiguousarray(values.reshape(-1, width)[:, :columns])
    table = np.full((len(lines), columns), np.nan)
    for row, line in enumerate(lines):
        found = numbers(line)[:columns]
        table[row, : len(found)] = found
    return table


def _vertices(content: _Content, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions `[V, 3]` and sRGB colours `[V, 3]` or None."""
    width = len(content.vertices[0].split())
    if len(numbers(b" ".join(content.vertices))) != width * len(content.vertices):
        # Bodies with colours beside others without.
        width = max(len(line.split()) for line in content.vertices)
    # x y z, x y z w, x y z r g b, or x y z r g b a. The weights w belong to curves and change no position.
    table = _table(content.vertices, 6 if width >= 6 else 3)
    colors = None
    if content.paint:
        # ZBrush: a mask and a colour of each vertex, two hexadecimal digits each.
        paint = np.frombuffer(bytes.fromhex(b"".join(content.paint).decode("ascii")), np.uint8)
        if len(paint) == 4 * len(table):
            colors = paint.reshape(-1, 4)[:, 1:] / 255
    elif width >= 6:
        colors, note = color_fractions(table[:, 3:])
        notes += [note] if note else []
        if (missing := ~np.isfinite(colors).all(axis=1)).any():
            colors[missing] = UNCOLORED
            notes.append(f"{np.count_nonzero(missing):,} of {len(table):,} vertices have no colours: they are white")
    return np.ascontiguousarray(table[:, :3]), colors


def _indices(corners: list[bytes]) -> np.ndarray:
    """Indices `[C, 2]` of vertices and texture coordinates of corners such as 1, 1/2, 1//3 and 1/2/3; 0 for none."""
    if not corners:
        return np.zeros((0, 2), np.int64)
    text = b" ".join(corners) + b" "
    if b"/" not in text:
        index = numbers(text).astype(np.int64)
        return np.stack([index, np.zeros_like(index)], axis=1)
    text = text.replace(b"//", b"/0/")
    if b"/ " not in text:
        signs = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(signs == ord(" "))
        slashes = np.diff(np.searchsorted(np.flatnonzero(signs == ord("/")), ends), prepend=0)
        if (slashes == slashes[0]).all():
            values = numbers(text.replace(b"/", b" ")).astype(np.int64)
            return values.reshape(len(corners), -1)[:, :2]
    parts = [word.split(b"/") for word in corners]
    return np.array([[int(part[0]), int(part[1]) if len(part) > 1 and part[1] else 0] for part in parts], np.int64)


def _corner_uv(content: _Content, index: np.ndarray, positions: np.ndarray) -> np.ndarray | None:
    """Texture coordinates `[F, 3, 2]`, NaN at corners without any; None where there are none at all."""
    if not content.uv:
        return None
    table = np.concatenate([np.nan_to_num(_table(content.uv, 2)), [[np.nan, np.nan]]])
    corners = index[positions]
    return table[np.where((corners < 0) | (corners >= len(content.uv)), -1, corners)]


def _materials(path: Path, content: _Content, mesh: Mesh) -> list[Material | None]:
    """The materials in the order in which faces refer to them."""
    known: dict[str, Material] = {}
    for line in content.libraries:
        # A line names one file, whose name may have spaces, or several.
        files = [beside(path, line)]
        if files[0] is None:
            files = [beside(path, name) for name in line.split()]
        if None in files:
            mesh.notes.append(f"the materials {line} are not beside the file: their colours are not read")
        for file in files:
            if file is not None:
                known |= read_materials(path, file, mesh.notes, mesh.beside)
    return [known.get(name) for name in content.names]


def _colors(
    path: Path,
    mesh: Mesh,
    vertex_colors: np.ndarray | None,
    uv: np.ndarray | None,
    materials: list[Material | None],
    used: np.ndarray,
) -> MeshColors | None:
    """Colours by the texture of a face's material, else of its vertices, else by the material's `Kd`.

    used: `[F]`, the material of each face, -1 for none.
    """
    corners = np.ones((len(used), 3, 3)) if vertex_colors is None else vertex_colors[mesh.faces]
    textures: list[Texture] = []
    texture_of = np.full(len(used), -1)
    scaled = np.zeros((len(used), 3, 2)) if uv is None else np.nan_to_num(uv)
    has_uv = np.zeros(len(used), bool) if uv is None else np.isfinite(uv).all(axis=(1, 2))
    plain = False
    for number, material in enumerate(materials):
        chosen = used == number
        if material is None or not chosen.any():
            continue
        textured = chosen & has_uv if material.texture is not None else np.zeros(len(used), bool)
        if material.texture is not None and textured.any():
            texture_of[textured] = len(textures)
            textures.append(material.texture)
            scaled[textured] = scaled[textured] * material.scale + material.offset
            corners[textured] = material.factor
        if vertex_colors is None and material.color is not None and (rest := chosen & ~textured).any():
            corners[rest] = material.color
            plain = True
    if textures:
        return MeshColors(corners, uv=scaled, textures=textures, texture_of=texture_of)
    if vertex_colors is not None or (plain and not is_placeholder(corners)):
        return MeshColors(corners)
    return None
