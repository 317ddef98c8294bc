"""Read a GLB file without any code of the project: pygltflib for the JSON, numpy for what it describes."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pygltflib
from PIL import Image

ROOT = Path(__file__).parent.parent
DTYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


# The decoder of meshoptimizer's author, in WebAssembly.
DECODE = """
const {MeshoptDecoder} = require("meshoptimizer/decoder");
const jobs = JSON.parse(require("fs").readFileSync(0));
MeshoptDecoder.ready.then(() => console.log(JSON.stringify(jobs.map(job => {
    const target = new Uint8Array(job.count * job.byteStride);
    const source = Buffer.from(job.data, "base64");
    MeshoptDecoder.decodeGltfBuffer(target, job.count, job.byteStride, source, job.mode, "NONE");
    return Buffer.from(target).toString("base64");
}))));
"""


@dataclass
class Part:
    """A primitive in the coordinates of the file: its decoded attributes by glTF's names, and its triangles."""

    name: str
    attributes: dict[str, np.ndarray]
    faces: np.ndarray
    images: dict[str, np.ndarray] = field(default_factory=dict)
    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))


def read_parts(path: Path) -> list[Part]:
    """Every node's mesh. Integers are decoded as the standard says, and the node's scale and translation applied."""
    file = pygltflib.GLTF2().load(str(path))
    blob = file.binary_blob()

    decoded = _decompressed(file, blob)

    def raw(view_index: int) -> bytes:
        if view_index in decoded:
            return decoded[view_index]
        view = file.bufferViews[view_index]
        start = view.byteOffset or 0
        return blob[start : start + view.byteLength]

    def values(index: int) -> np.ndarray:
        accessor = file.accessors[index]
        view = file.bufferViews[accessor.bufferView]
        dtype, width = np.dtype(DTYPES[accessor.componentType]), WIDTHS[accessor.type]
        stride = view.byteStride or dtype.itemsize * width
        data = raw(accessor.bufferView) + b"\0" * stride
        rows = np.lib.stride_tricks.as_strided(
            np.frombuffer(data, np.uint8), (accessor.count, dtype.itemsize * width), (stride, 1)
        )
        found = np.ascontiguousarray(rows).view(dtype).reshape(accessor.count, width)
        if accessor.normalized:
            return np.maximum(found.astype(np.float64) / np.iinfo(dtype).max, -1)
        return found

    parts = []
    for node in file.nodes:
        if node.mesh is None:
            continue
        matrix = np.eye(4)
        matrix[:3, :3] *= node.scale or [1, 1, 1]
        matrix[:3, 3] = node.translation or [0, 0, 0]
        for primitive in file.meshes[node.mesh].primitives:
            named = {
                name: values(index) for name, index in vars(primitive.attributes).items() if isinstance(index, int)
            }
            named["POSITION"] = named["POSITION"] @ matrix[:3, :3].T + matrix[:3, 3]
            images = {}
            if primitive.material is not None:
                material = file.materials[primitive.material]
                textures = {
                    "base": material.pbrMetallicRoughness.baseColorTexture,
                    "normal": material.normalTexture,
                }
                for use, reference in textures.items():
                    if reference is not None:
                        texture = file.textures[reference.index]
                        source = texture.source
                        if source is None:
                            source = texture.extensions["EXT_texture_webp"]["source"]
                        with Image.open(io.BytesIO(raw(file.images[source].bufferView))) as image:
                            images[use] = np.asarray(image)
            faces = values(primitive.indices).reshape(-1, 3).astype(np.int64)
            parts.append(Part(node.name, named, faces, images, matrix))
    return parts


def _decompressed(file: pygltflib.GLTF2, blob: bytes) -> dict[int, bytes]:
    """The content of views that are compressed with EXT_meshopt_compression, by their index."""
    jobs = {}
    for index, view in enumerate(file.bufferViews):
        job = (view.extensions or {}).get("EXT_meshopt_compression")
        if job:
            start = job["byteOffset"]
            data = blob[start : start + job["byteLength"]]
            jobs[index] = {**job, "data": base64.b64encode(data).decode()}
    if not jobs:
        return {}
    done = subprocess.run(
        ["node", "-e", DECODE],
        cwd=ROOT,
        input=json.dumps(list(jobs.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    return {index: base64.b64decode(text) for index, text in zip(jobs, json.loads(done.stdout))}


def shown_colors(linear: np.ndarray) -> np.ndarray:
    """sRGB of linear values (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
