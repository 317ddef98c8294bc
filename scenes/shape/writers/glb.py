"""glTF 2.0 in its binary form (GLB).

Written here and not by trimesh, because vertex colours are linear in glTF, and trimesh writes eight bits of whatever it
is given. Here colours are converted and have sixteen bits, so that dark colours survive.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset, png_bytes

# Component types of accessors.
FLOAT, UINT16, UINT32 = 5126, 5123, 5125
# Targets of buffer views: vertex attributes and indices.
ARRAY, INDICES = 34962, 34963
# Types of accessors by the number of components.
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
# Texture filtering: linear. Texture wrapping: clamp to edge.
LINEAR_FILTER, CLAMP_TO_EDGE = 9729, 33071
# Linear RGBA of a mesh without colours: (0.84, 0.82, 0.79) in sRGB, as in rendered images of shapes.
PALE = (0.6724, 0.6376, 0.5870, 1.0)


class _Binary:
    """The binary chunk in parts, and the JSON objects that describe them."""

    def __init__(self) -> None:
        self.parts: list[bytes | np.ndarray] = []
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.length = 0

    def view(self, data: np.ndarray | bytes, target: int | None = None) -> int:
        """Add data as a buffer view. Returns its index."""
        size = data.nbytes if isinstance(data, np.ndarray) else len(data)
        self.views.append(
            {"buffer": 0, "byteOffset": self.length, "byteLength": size, **({"target": target} if target else {})}
        )
        padding = -size % 4
        self.parts += [data, b"\0" * padding]
        self.length += size + padding
        return len(self.views) - 1

    def accessor(
        self, array: np.ndarray, component: int, target: int, *, bounds: bool = False, normalized: bool = False
    ) -> int:
        """Add an array `[n]` or `[n, 2 to 4]` as an accessor, with its bounds if asked. Returns its index."""
        array = np.ascontiguousarray(array)
        entry = {
            "bufferView": self.view(array, target),
            "componentType": component,
            "count": len(array),
            "type": TYPES[array.shape[1] if array.ndim == 2 else 1],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"], entry["max"] = array.min(axis=0).tolist(), array.max(axis=0).tolist()
        self.accessors.append(entry)
        return len(self.accessors) - 1


def write_glb(path: Path, asset: Asset) -> None:
    """Write one mesh with a matt material that is visible from both sides."""
    binary = _Binary()
    tree = {
        "asset": {"version": "2.0", "generator": "Field Studio"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": asset.name}],
    }
    attributes = _geometry(binary, asset)
    material = _material(binary, asset, tree, attributes)
    indices = binary.accessor(asset.faces.astype(np.uint32).reshape(-1), UINT32, INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}
    tree["meshes"] = [{"name": asset.name, "primitives": [primitive]}]
    tree["materials"] = [material]
    tree["accessors"], tree["bufferViews"] = binary.accessors, binary.views
    tree["buffers"] = [{"byteLength": binary.length}]
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + binary.length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", binary.length, b"BIN\0"))
        for part in binary.parts:
            file.write(part if isinstance(part, bytes) else part.data)


def _geometry(binary: _Binary, asset: Asset) -> dict[str, int]:
    """Add positions, normals and texture coordinates. Returns the attributes of the primitive."""
    attributes = {
        "POSITION": binary.accessor(asset.vertices.astype(np.float32), FLOAT, ARRAY, bounds=True),
        "NORMAL": binary.accessor(_unit(asset.normals), FLOAT, ARRAY),
    }
    if asset.uv is not None:
        # glTF has the origin at the upper left.
        uv = np.stack([asset.uv[:, 0], 1 - asset.uv[:, 1]], axis=1).astype(np.float32)
        attributes["TEXCOORD_0"] = binary.accessor(uv, FLOAT, ARRAY)
    return attributes


def _material(binary: _Binary, asset: Asset, tree: dict, attributes: dict[str, int]) -> dict:
    """Add the textures or the vertex colours, and the tangents. Returns the material."""
    matt: dict = {"metallicFactor": 0.0, "roughnessFactor": 0.9}
    material: dict = {"name": asset.name, "doubleSided": True, "pbrMetallicRoughness": matt}
    images = [image for image in (asset.texture, asset.normal_map) if image is not None]
    if images:
        tree["images"] = [{"bufferView": binary.view(png_bytes(image)), "mimeType": "image/png"} for image in images]
        tree["samplers"] = [
            {
                "magFilter": LINEAR_FILTER,
                "minFilter": LINEAR_FILTER,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ]
        tree["textures"] = [{"source": index, "sampler": 0} for index in range(len(images))]
    if asset.texture is not None:
        matt["baseColorTexture"] = {"index": 0}
    elif asset.colors is not None:
        linear = np.concatenate([_linear(asset.colors), np.ones((len(asset.colors), 1))], axis=1)
        levels = np.rint(linear * 65535).astype(np.uint16)
        attributes["COLOR_0"] = binary.accessor(levels, UINT16, ARRAY, normalized=True)
    else:
        matt["baseColorFactor"] = list(PALE)
    if asset.normal_map is not None and asset.tangents is not None:
        material["normalTexture"] = {"index": len(images) - 1}
        attributes["TANGENT"] = binary.accessor(asset.tangents.astype(np.float32), FLOAT, ARRAY)
    return material


def _unit(normals: np.ndarray) -> np.ndarray:
    """Normals `[V, 3]` float32 of unit length, which glTF demands; a zero normal becomes the y axis."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-6, normals / np.maximum(length, 1e-6), np.array([0, 1, 0])).astype(np.float32)


def _linear(colors: np.ndarray) -> np.ndarray:
    """Linear values of sRGB colours (IEC 61966-2-1)."""
    return np.where(colors <= 0.04045, colors / 12.92, ((np.maximum(colors, 0) + 0.055) / 1.055) ** 2.4)
