"""PLY, binary little-endian: any columns for each vertex, and faces if there are some."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.offset import far_offset

# PLY's names of numpy's types.
TYPE_NAMES = {"<f4": "float", "|u1": "uchar", "<i4": "int", "<f8": "double"}


def write_ply(
    path: Path, columns: dict[str, np.ndarray], faces: np.ndarray | None = None, comments: tuple[str, ...] = ()
) -> None:
    """Write columns of vertices, and faces.

    Args:
        columns: arrays `[n]` of float32, float64, uint8 or int32 by their names, in the order of the file.
        faces: `[F, 3]`.
        comments: lines of the header.

    Raises BadInput where the file cannot be written.
    """
    count = len(next(iter(columns.values())))
    table = np.empty(count, [(name, column.dtype.str) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {line}" for line in comments]
    header += [f"element vertex {count}"]
    header += [f"property {TYPE_NAMES[column.dtype.str]} {name}" for name, column in columns.items()]
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(table.data)
        if faces is not None:
            rows = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
            rows["count"], rows["corners"] = 3, faces
            file.write(rows.data)


def vertex_columns(
    vertices: np.ndarray, normals: np.ndarray | None, colors: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The columns of vertices, unit normals and sRGB colors in [0, 1], `[n, 3]` each, by the usual names.

    Vertices that are far from the origin are doubles.
    """
    kind = "<f4" if far_offset(vertices) is None else "<f8"
    columns = {name: vertices[:, k].astype(kind) for k, name in enumerate("xyz")}
    if normals is not None:
        columns |= {f"n{name}": normals[:, k].astype("<f4") for k, name in enumerate("xyz")}
    if colors is not None:
        columns |= {
            name: np.rint(np.clip(colors[:, k], 0, 1) * 255).astype("|u1")
            for k, name in enumerate(("red", "green", "blue"))
        }
    return columns


def write_mesh_ply(path: Path, asset: Asset) -> None:
    """Write a mesh with its normals and colors, and its extras as JSON in a comment. Textures are left out."""
    comments = ["Field Studio"]
    if asset.extras:
        comments.append(json.dumps({"units": asset.units, **asset.extras}))
    write_ply(path, vertex_columns(asset.vertices, asset.normals, asset.colors), asset.faces, tuple(comments))
