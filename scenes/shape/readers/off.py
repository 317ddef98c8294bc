"""OFF files, with comments, colours, normals and polygons.

Read here and not by trimesh, which takes the first numbers of a comment for the counts, leaves out colours, and fails
on files whose polygons have different numbers of corners.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import MeshColors, color_fractions
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.polygons import triangulate
from scenes.shape.readers.columns import numbers

# Texture coordinates, colours, normals, homogeneous coordinates, and any number of dimensions.
KEYWORD = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF\b", re.IGNORECASE)


def read(path: Path) -> Mesh | Cloud:
    """The mesh of an OFF file, or its points where it has no faces. Raises BadInput where it is damaged."""
    content = path.read_bytes()
    lines = [stripped for line in content.splitlines() if (stripped := line.partition(b"#")[0].strip())]
    texture, color, normal, fourth = b"", b"", b"", b""
    if lines and (keyword := KEYWORD.match(lines[0])):
        texture, color, normal, fourth, dimensions = keyword.groups()
        lines[0] = lines[0][keyword.end() :].strip()
        if dimensions or b"BINARY" in lines[0].upper():
            raise BadInput(
                f"{path}: binary OFF files and those of other than 3 dimensions are not read; save it as text"
            )
        lines = lines if lines[0] else lines[1:]
    counts = lines[0].split() if lines else []
    if len(counts) < 2:
        raise BadInput(f"{path}: there are no numbers of vertices and faces at its beginning; export it again")
    num_vertices, num_faces = int(counts[0]), int(counts[1])
    if not num_vertices:
        raise BadInput(f"{path}: holds no geometry; export it again")
    width = 3 + bool(fourth)
    named = width + 3 * bool(normal)
    rows = lines[1:]
    in_lines = len(counts) <= 3 and len(rows) >= num_vertices + num_faces
    if in_lines:
        table, face_values, lengths = _by_lines(path, rows, num_vertices, num_faces)
    else:
        stream = numbers(b" ".join([*counts[3:], *rows]))
        columns = named + 4 * bool(color) + 2 * bool(texture)
        if len(stream) < columns * num_vertices:
            raise BadInput(
                f"{path}: announces {num_vertices} vertices and {num_faces} faces and holds {len(rows)} lines; it is "
                "cut short: export it again"
            )
        table = stream[: columns * num_vertices].reshape(num_vertices, columns)
        face_values, lengths = _by_counts(path, stream[columns * num_vertices :], num_faces)
    vertices = table[:, :3] / table[:, 3:4] if fourth else table[:, :3]
    if vertices.shape[1] < 3:
        raise BadInput(f"{path}: its vertices have {vertices.shape[1]} coordinates, not 3; export it again")
    vertices = np.ascontiguousarray(vertices)
    colors, notes = _vertex_colors(table[:, named:], has_texture=bool(texture), announced=bool(color))
    normals = table[:, width : width + 3] if normal and table.shape[1] >= named else None
    if not num_faces:
        return Cloud(vertices, normals, colors, notes)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    corner_counts = face_values[starts].astype(np.int64)
    if (corner_counts + 1 > lengths).any() or (corner_counts < 0).any():
        raise BadInput(f"{path}: a face has fewer corners than it announces; it may be cut short: export it again")
    within = np.arange(len(face_values)) - np.repeat(starts, lengths)
    corners = face_values[(within > 0) & (within <= np.repeat(corner_counts, lengths))].astype(np.int64)
    if len(corners) and (corners.min() < 0 or corners.max() >= num_vertices):
        raise BadInput(f"{path}: a face names vertex {corners.max()} and there are {num_vertices}; export it again")
    positions, polygons = triangulate(vertices, corners, corner_counts)
    faces = corners[positions]
    mesh = Mesh(vertices, faces, notes=notes)
    if colors is not None:
        mesh.colors = MeshColors(colors[faces])
    elif len(extra := _face_colors(face_values, starts + 1 + corner_counts, lengths - 1 - corner_counts)):
        fractions, note = color_fractions(extra)
        mesh.colors = MeshColors(np.repeat(fractions[polygons][:, None], 3, axis=1))
        mesh.notes += [note] if note and fractions.max() > 1 else []
    return mesh


def _by_lines(path: Path, rows: list[bytes], vertices: int, faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices `[V, k]`, the numbers of all lines of faces, and how many each line has."""
    values = numbers(b" ".join(rows[:vertices]))
    columns = len(rows[0].split())
    if len(values) != columns * vertices:
        raise BadInput(f"{path}: the lines of its vertices have different numbers of columns; export it again")
    lines = rows[vertices : vertices + faces]
    lengths = np.array([len(line.split()) for line in lines], np.int64)
    return values.reshape(vertices, columns), numbers(b" ".join(lines)), lengths


def _by_counts(path: Path, stream: np.ndarray, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces that are not one a line: their numbers, and how many each has. They can have no colours."""
    lengths, at = [], 0
    while len(lengths) < faces and at < len(stream):
        lengths.append(int(stream[at]) + 1)
        at += lengths[-1]
    if len(lengths) < faces or at > len(stream):
        raise BadInput(f"{path}: announces {faces} faces and holds {len(lengths)}; it is cut short: export it again")
    return stream[:at], np.array(lengths, np.int64)


def _vertex_colors(columns: np.ndarray, *, has_texture: bool, announced: bool) -> tuple[np.ndarray | None, list[str]]:
    """sRGB `[V, 3]` of what follows positions and normals, and notes; some programs write it without the C."""
    width = columns.shape[1] - 2 * has_texture
    if width < 3:
        return None, []
    fractions, note = color_fractions(columns[:, :3])
    if announced:
        # Bytes are what most programs write; their range is no guess.
        return fractions, []
    return fractions, [f"three more columns of the vertices are read as colours{'; ' + note if note else ''}"]


def _face_colors(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Colours `[P, 3]` that follow the corners of each face; empty where a face has none."""
    if not len(lengths) or lengths.min() < 3:
        return np.zeros((0, 3))
    return values[starts[:, None] + np.arange(3)]
