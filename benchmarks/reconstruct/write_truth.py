"""Write models as a binary glTF with float attributes, by pygltflib: the truth of a scene, and what peers make."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.raycast import Model


def write_truth(path: Path, models: Sequence[Model]) -> None:
    """Write the models as one mesh with a primitive each; axes and units are those of their vertices."""
    import pygltflib as gltf
    from PIL import Image

    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="benchmarks.reconstruct"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(mesh=0)],
        meshes=[gltf.Mesh(primitives=[])],
    )
    blob = bytearray()

    def view(data: bytes, target: int | None = None) -> int:
        blob.extend(b"\0" * (-len(blob) % 4))
        document.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data), target=target)
        )
        blob.extend(data)
        return len(document.bufferViews) - 1

    def accessor(array: np.ndarray, kind: str, component: int, bounds: bool = False) -> int:
        target = gltf.ELEMENT_ARRAY_BUFFER if kind == gltf.SCALAR else gltf.ARRAY_BUFFER
        entry = gltf.Accessor(
            bufferView=view(array.tobytes(), target), componentType=component, count=len(array), type=kind
        )
        if bounds:
            entry.min, entry.max = array.min(axis=0).tolist(), array.max(axis=0).tolist()
        document.accessors.append(entry)
        return len(document.accessors) - 1

    for model in models:
        attributes = gltf.Attributes(
            POSITION=accessor(model.vertices.astype("<f4"), gltf.VEC3, gltf.FLOAT, bounds=True)
        )
        if model.normals is not None:
            attributes.NORMAL = accessor(np.asarray(model.normals, "<f4"), gltf.VEC3, gltf.FLOAT)
        if model.colors is not None:
            attributes.COLOR_0 = accessor(np.asarray(model.colors, "<f4"), gltf.VEC3, gltf.FLOAT)
        material = gltf.Material(pbrMetallicRoughness=gltf.PbrMetallicRoughness(metallicFactor=0.0))
        if model.texture is not None and model.uv is not None:
            attributes.TEXCOORD_0 = accessor(np.asarray(model.uv, "<f4"), gltf.VEC2, gltf.FLOAT)
            stream = io.BytesIO()
            Image.fromarray(model.texture).save(stream, "PNG")
            document.images.append(gltf.Image(bufferView=view(stream.getvalue()), mimeType="image/png"))
            document.textures.append(gltf.Texture(source=len(document.images) - 1))
            assert material.pbrMetallicRoughness is not None
            material.pbrMetallicRoughness.baseColorTexture = gltf.TextureInfo(index=len(document.textures) - 1)
        document.materials.append(material)
        indices = accessor(model.faces.astype("<u4").reshape(-1), gltf.SCALAR, gltf.UNSIGNED_INT)
        document.meshes[0].primitives.append(
            gltf.Primitive(attributes=attributes, indices=indices, material=len(document.materials) - 1)
        )
    blob.extend(b"\0" * (-len(blob) % 4))
    document.buffers = [gltf.Buffer(byteLength=len(blob))]
    document.set_binary_blob(bytes(blob))
    document.save_binary(str(path))
