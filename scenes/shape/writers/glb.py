"""glTF 2.0 in its binary form (GLB).

Written here and not by trimesh, as glTF's vertex colours are linear and trimesh writes eight bits of whatever it is given:
ours are converted, and have sixteen bits, so dark colours survive.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset, png

FLOAT, UINT16, UINT32 = 5126, 5123, 5125
ARRAY, INDICES = 34962, 34963
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
PALE = (0.6724, 0.6376, 0.5870, 1.0)  # the matt pale of our pictures, (0.84, 0.82, 0.79) in sRGB, as linear numbers


class _Binary:
    """The parts of the binary chunk, and what the JSON says of them."""

    def __init__(self) -> None:
        self.parts: list[bytes | np.ndarray] = []
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.length = 0

    def view(self, data: np.ndarray | bytes, target: int | None = None) -> int:
        size = data.nbytes if isinstance(data, np.ndarray) else len(data)
        self.views.append(
            {"buffer": 0, "byteOffset": self.length, "byteLength": size, **({"target": target} if target else {})}
        )
        padding = -size % 4
        self.parts += [data, b"\0" * padding]
        self.length += size + padding
        return len(self.views) - 1

    def accessor(
        self, array: np.ndarray, component: int, target: int, bounds: bool = False, normalized: bool = False
    ) -> int:
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
    """One mesh with a matt material, seen from both sides."""
    binary = _Binary()
    attributes = {
        "POSITION": binary.accessor(asset.vertices.astype(np.float32), FLOAT, ARRAY, bounds=True),
        "NORMAL": binary.accessor(_unit(asset.normals), FLOAT, ARRAY),
    }
    matt: dict = {"metallicFactor": 0.0, "roughnessFactor": 0.9}
    material: dict = {"name": asset.name, "doubleSided": True, "pbrMetallicRoughness": matt}
    tree: dict = {
        "asset": {"version": "2.0", "generator": "Field Studio"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": asset.name}],
    }
    if asset.uv is not None:
        # glTF has the origin at the upper left.
        attributes["TEXCOORD_0"] = binary.accessor(
            np.stack([asset.uv[:, 0], 1 - asset.uv[:, 1]], axis=1).astype(np.float32), FLOAT, ARRAY
        )
    pictures = [picture for picture in (asset.texture, asset.normal_map) if picture is not None]
    if pictures:
        tree["images"] = [{"bufferView": binary.view(png(picture)), "mimeType": "image/png"} for picture in pictures]
        tree["samplers"] = [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}]
        tree["textures"] = [{"source": index, "sampler": 0} for index in range(len(pictures))]
    if asset.texture is not None:
        matt["baseColorTexture"] = {"index": 0}
    elif asset.colors is not None:
        linear = np.concatenate([_linear(asset.colors), np.ones((len(asset.colors), 1))], axis=1)
        attributes["COLOR_0"] = binary.accessor(
            np.rint(linear * 65535).astype(np.uint16), UINT16, ARRAY, normalized=True
        )
    else:
        matt["baseColorFactor"] = list(PALE)
    if asset.normal_map is not None:
        material["normalTexture"] = {"index": len(pictures) - 1}
        attributes["TANGENT"] = binary.accessor(asset.tangents.astype(np.float32), FLOAT, ARRAY)
    indices = binary.accessor(asset.faces.astype(np.uint32).reshape(-1), UINT32, INDICES)
    tree["meshes"] = [
        {"name": asset.name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0, "mode": 4}]}
    ]
    tree["materials"] = [material]
    tree["accessors"], tree["bufferViews"], tree["buffers"] = (
        binary.accessors,
        binary.views,
        [{"byteLength": binary.length}],
    )
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + binary.length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", binary.length, b"BIN\0"))
        for part in binary.parts:
            file.write(part if isinstance(part, bytes) else memoryview(part).cast("B"))


def _unit(normals: np.ndarray) -> np.ndarray:
    """glTF wants unit length everywhere; a normal of zero points up."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-6, normals / np.maximum(length, 1e-6), np.array([0, 1, 0])).astype(np.float32)


def _linear(colors: np.ndarray) -> np.ndarray:
    """sRGB's inverse transfer function (IEC 61966-2-1)."""
    return np.where(colors <= 0.04045, colors / 12.92, ((np.maximum(colors, 0) + 0.055) / 1.055) ** 2.4)
