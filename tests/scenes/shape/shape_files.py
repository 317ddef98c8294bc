"""Shapes that tests write to files."""

from __future__ import annotations

import base64
import json

import numpy as np
import trimesh


def sphere(subdivisions: int = 3, radius: float = 1.0) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions, radius)


def torus() -> trimesh.Trimesh:
    return trimesh.creation.torus(1.0, 0.4, major_sections=48, minor_sections=24)


def open_box() -> trimesh.Trimesh:
    """A box without its lid."""
    box = trimesh.creation.box()
    return trimesh.Trimesh(box.vertices, box.faces[box.face_normals[:, 2] < 0.5], process=False)


def ply(points: np.ndarray, normals: np.ndarray | None = None) -> str:
    """The text of a PLY file of points."""
    names = ["x", "y", "z"] + (["nx", "ny", "nz"] if normals is not None else [])
    table = points if normals is None else np.concatenate([points, normals], axis=1)
    header = [
        "ply",
        "format ascii 1.0",
        f"element vertex {len(points)}",
        *(f"property double {name}" for name in names),
        "end_header",
    ]
    return "\n".join(header + [" ".join(f"{value:.17g}" for value in row) for row in table]) + "\n"


# The outline of a U with a slot for 1 < x < 2, y > 1: eight corners, area 7 without the slot.
U_OUTLINE = np.array([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]], float)


def u_prism() -> tuple[np.ndarray, list[list[int]]]:
    """A U of height 1: vertices `[16, 3]` and its ten polygons, of which two are concave. Volume 7, area 30."""
    bottom = np.concatenate([U_OUTLINE, np.zeros((8, 1))], axis=1)
    sides = [[k, (k + 1) % 8, (k + 1) % 8 + 8, k + 8] for k in range(8)]
    return np.concatenate([bottom, bottom + [0, 0, 1]]), [list(range(7, -1, -1)), list(range(8, 16)), *sides]


def gltf(path, arrays: dict[str, np.ndarray], tree: dict) -> None:
    """Write a .gltf with arrays inside of it, one accessor each, in their order.

    Integer colours and texture coordinates are marked as normalized. `tree` has the rest; its `accessors` are changes
    to single accessors, by number.
    """
    components = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
    kinds = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
    data, views, accessors = b"", [], []
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        width = 1 if array.ndim == 1 else array.shape[1]
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": array.nbytes})
        accessor = {
            "bufferView": len(views) - 1,
            "componentType": components[array.dtype.str[1:]],
            "count": len(array),
            "type": kinds[width],
        }
        if array.dtype.kind in "iu" and name.startswith(("color", "uv", "weights")):
            accessor["normalized"] = True
        accessors.append(accessor)
        data += array.tobytes() + bytes(-array.nbytes % 4)
    changes = tree.pop("accessors", {})
    views += tree.pop("bufferViews", [])
    for number, change in changes.items():
        accessors[number] |= change
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    whole = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "buffers": [{"byteLength": len(data), "uri": uri}],
        "bufferViews": views,
        "accessors": accessors,
        **tree,
    }
    path.write_text(json.dumps(whole))
