"""Read a mesh file without the project's own readers: glTF by pygltflib, USD by OpenUSD, other files by trimesh."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reconstruct.raycast import Model, to_linear
from benchmarks.reconstruct.read_usd import layer_extras, read_usd

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TRIANGLES = 4
NEAREST = 9728
# Extensions that this reader obeys, or that change nothing that it looks at.
KNOWN = {
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "EXT_texture_webp",
    "KHR_materials_unlit",
}


def read_models(path: Path, transform: np.ndarray | None = None) -> list[Model]:
    """The triangles of a file, one model for each material's part, in the file's own coordinates.

    transform: `[4, 4]` by which the coordinates are then multiplied.
    """
    reader = {".glb": _read_glb, ".usdz": read_usd, ".usdc": read_usd}.get(path.suffix.lower(), _read_other)
    models = reader(path)
    return models if transform is None else [moved(model, transform) for model in models]


def moved(model: Model, matrix: np.ndarray) -> Model:
    """The model with its vertices and normals multiplied by a matrix `[4, 4]`; faces turn if it mirrors."""
    linear = matrix[:3, :3]
    faces = model.faces if np.linalg.det(linear) > 0 else model.faces[:, ::-1]
    normals = model.normals
    if normals is not None:
        normals = normals @ np.linalg.inv(linear)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    return Model(
        vertices=model.vertices @ linear.T + matrix[:3, 3],
        faces=faces,
        normals=normals,
        uv=model.uv,
        texture=model.texture,
        colors=model.colors,
        smooth=model.smooth,
    )


def source_transform(path: Path) -> np.ndarray | None:
    """The matrix `[4, 4]` from a file's coordinates to those of the poses, where the file's `extras` has one.

    Every matrix of 16 numbers or of 4 rows in the extras of the asset, the scene or a node, whose name says that it
    leads to the source, counts. glTF stores matrices by columns; one with the last row 0 0 0 1 is by rows. A USD file
    has its extras in the layer's custom data.
    """
    if path.suffix.lower() == ".usdz":
        return _named_matrix(layer_extras(path))
    if path.suffix.lower() != ".glb":
        return None
    document = _json_of(path)
    places = [document.get("asset", {}), *document.get("scenes", ()), *document.get("nodes", ()), document]
    for extras in (place.get("extras") for place in places):
        found = _named_matrix(extras)
        if found is not None:
            return found
    return None


def _named_matrix(extras: object) -> np.ndarray | None:
    if not isinstance(extras, dict):
        return None
    for name, value in extras.items():
        if isinstance(value, dict) and (found := _named_matrix(value)) is not None:
            return found
        if "source" not in name.lower():
            continue
        try:
            matrix = np.array(value, np.float64)
        except (TypeError, ValueError):
            continue
        if matrix.size != 16:
            continue
        matrix = matrix.reshape(4, 4)
        return matrix if np.allclose(matrix[3], [0, 0, 0, 1]) else matrix.T
    return None


def image_bytes(path: Path) -> int:
    """Bytes of the images within a binary glTF."""
    document = _json_of(path)
    return sum(document["bufferViews"][image["bufferView"]]["byteLength"] for image in document.get("images", []))


def _json_of(path: Path) -> dict:
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length])


def _read_glb(path: Path) -> list[Model]:
    import pygltflib

    document = pygltflib.GLTF2().load_binary(str(path))
    assert document is not None
    unknown = set(document.extensionsRequired or ()) - KNOWN
    if unknown:
        raise ValueError(f"{path}: requires {', '.join(sorted(unknown))}, which this reader does not have")
    reader = _Glb(document, _json_of(path))
    return [
        model for root in document.scenes[document.scene or 0].nodes or () for model in reader.node(root, np.eye(4))
    ]


class _Glb:
    """The accessors, images and nodes of a binary glTF."""

    def __init__(self, document, content: dict) -> None:
        self.document, self.content = document, content
        self.blob = document.binary_blob()
        self._images: dict[int, np.ndarray] = {}

    def node(self, index: int, parent: np.ndarray) -> list[Model]:
        node = self.document.nodes[index]
        matrix = parent @ _matrix(node)
        models = []
        if node.mesh is not None:
            for primitive in self.document.meshes[node.mesh].primitives:
                if primitive.mode in (None, TRIANGLES):
                    models.append(moved(self._primitive(primitive), matrix))
        for child in node.children or ():
            models += self.node(child, matrix)
        return models

    def _primitive(self, primitive) -> Model:
        attributes = primitive.attributes
        vertices = self.accessor(attributes.POSITION).astype(np.float64)
        if primitive.indices is None:
            indices = np.arange(len(vertices))
        else:
            indices = self.accessor(primitive.indices).reshape(-1).astype(np.int64)
        colors = None if attributes.COLOR_0 is None else self.accessor(attributes.COLOR_0)[:, :3].astype(np.float64)
        uv, texture, smooth = None, None, True
        material = None if primitive.material is None else self.document.materials[primitive.material]
        pbr = None if material is None else material.pbrMetallicRoughness
        if pbr is not None:
            factor = np.array(pbr.baseColorFactor or [1, 1, 1, 1], np.float64)[:3]
            if pbr.baseColorTexture is not None:
                uv, texture, smooth = self._textured(attributes, pbr.baseColorTexture)
            if (factor != 1).any() or (texture is None and colors is None):
                # glTF's base color without texture and colors is the factor alone.
                colors = (np.ones((len(vertices), 3)) if colors is None else colors) * factor
        normals = None if attributes.NORMAL is None else self.accessor(attributes.NORMAL).astype(np.float64)
        if normals is not None:
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
        return Model(
            vertices=vertices,
            faces=indices.reshape(-1, 3),
            normals=normals,
            uv=uv,
            texture=texture,
            colors=colors,
            smooth=smooth,
        )

    def _textured(self, attributes, info) -> tuple[np.ndarray, np.ndarray, bool]:
        transform = (info.extensions or {}).get("KHR_texture_transform", {})
        channel = transform.get("texCoord", info.texCoord or 0)
        uv = self.accessor(getattr(attributes, f"TEXCOORD_{channel}")).astype(np.float64)
        uv = uv * np.array(transform.get("scale", (1, 1)), np.float64)
        angle = transform.get("rotation", 0.0)
        c, s = math.cos(angle), math.sin(angle)
        uv = uv @ np.array([[c, -s], [s, c]]) + np.array(transform.get("offset", (0, 0)), np.float64)
        texture = self.document.textures[info.index]
        source = (texture.extensions or {}).get("EXT_texture_webp", {}).get("source", texture.source)
        sampler = None if texture.sampler is None else self.document.samplers[texture.sampler]
        return uv, self.image(source), sampler is None or sampler.magFilter != NEAREST

    def image(self, index: int) -> np.ndarray:
        from PIL import Image

        if index not in self._images:
            image = self.document.images[index]
            data = self.view(image.bufferView)
            self._images[index] = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        return self._images[index]

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        entry = self.content["bufferViews"][index]
        start = entry.get("byteOffset", 0)
        return self.blob[start : start + entry["byteLength"]]

    def accessor(self, index: int) -> np.ndarray:
        """The values of an accessor `[count, width]`; normalised integers as float64 in [0, 1] or [-1, 1]."""
        entry = self.document.accessors[index]
        kind, width = np.dtype(COMPONENTS[entry.componentType]), WIDTHS[entry.type]
        data = self.view(entry.bufferView)
        stride = self.content["bufferViews"][entry.bufferView].get("byteStride") or kind.itemsize * width
        start = entry.byteOffset or 0
        values = np.ndarray((entry.count, width), kind, data, start, (stride, kind.itemsize))
        if not entry.normalized:
            return values.copy()
        return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1.0)


def _matrix(node) -> np.ndarray:
    if node.matrix is not None:
        return np.array(node.matrix, np.float64).reshape(4, 4).T
    x, y, z, w = node.rotation or (0, 0, 0, 1)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ) * np.array(node.scale or (1, 1, 1), np.float64)
    matrix[:3, 3] = node.translation or (0, 0, 0)
    return matrix


def _read_other(path: Path) -> list[Model]:
    import trimesh

    loaded = trimesh.load_scene(path, process=False)
    models = []
    for mesh in loaded.dump():
        if not isinstance(mesh, trimesh.Trimesh):
            continue
        uv, texture, colors = None, None, None
        look: Any = mesh.visual
        if look.kind == "texture":
            material = look.material
            image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
            if image is not None and look.uv is not None:
                texture = np.asarray(image.convert("RGB"))
                uv = np.stack([look.uv[:, 0], 1 - look.uv[:, 1]], axis=1)
        elif look.kind == "vertex":
            # Formats other than glTF have sRGB bytes at vertices.
            colors = to_linear(np.asarray(look.vertex_colors)[:, :3]).astype(np.float64)
        models.append(
            Model(
                vertices=np.asarray(mesh.vertices, np.float64),
                faces=np.asarray(mesh.faces, np.int64),
                uv=uv,
                texture=texture,
                colors=colors,
            )
        )
    return models
