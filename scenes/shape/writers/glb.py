"""glTF 2.0 in its binary form (GLB).

Written here and not by trimesh, because vertex colors are linear in glTF, and trimesh writes eight bits of whatever it
is given. Here colors are converted and have sixteen bits, so that dark colors survive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenes.shape.colors import linear_values
from scenes.shape.writers.asset import Asset, TextureFormat, image_bytes, unit_normals, unit_tangents
from scenes.shape.writers.gltf_binary import MESHOPT, GltfBinary
from scenes.shape.writers.meshopt import encode_triangles
from scenes.shape.writers.offset import split_offset
from scenes.shape.writers.quantize import quantize_directions, quantize_positions, quantize_tangents, quantize_uv

# Texture filtering: linear, and for smaller images the mean of the two nearest mip levels. Wrapping: clamp to edge.
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071
# Linear RGBA of a mesh without colors: (0.84, 0.82, 0.79) in sRGB, as in rendered images of shapes.
PALE = (0.6724, 0.6376, 0.5870, 1.0)
# A matt surface. Both factors are 1 unless they are written, which makes a dark metal.
MATT = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
QUANTIZATION, UNLIT, WEBP = "KHR_mesh_quantization", "KHR_materials_unlit", "EXT_texture_webp"


def write_glb(
    path: Path,
    asset: Asset,
    *,
    quantize: bool = False,
    meshopt: bool = False,
    texture_format: TextureFormat = "png",
) -> None:
    """Write one mesh with a matt material that is visible from both sides.

    Args:
        quantize: write positions as 16-bit and directions as 8-bit integers (KHR_mesh_quantization), which need half of
            the bytes; see `scenes.shape.writers.quantize` for what is lost.
        meshopt: quantize, and compress the result without further loss (EXT_meshopt_compression), to about a third.
            Triangles and vertices get another order. Fewer viewers support that.
        texture_format: of the base color. "jpeg" and "webp" are several times smaller than "png"; viewers must support
            the extension EXT_texture_webp to show the latter. Normal maps are stored without loss in any case.

    Raises BadInput where the file cannot be written, and ValueError for a normal map without tangents.
    """
    binary = GltfBinary(compress=meshopt)
    extensions: dict[str, bool] = {}
    stream = None
    if meshopt:
        quantize = True
        extensions[MESHOPT] = True
        stream, order = encode_triangles(asset.faces, len(asset.vertices))
        asset = asset.reordered(order)
    node: dict[str, Any] = {"mesh": 0, "name": asset.name}
    attributes = _geometry(binary, asset, node, quantize=quantize)
    if quantize:
        extensions[QUANTIZATION] = True
    looks = _appearance(binary, asset, attributes, extensions, texture_format, quantize=quantize)
    indices = binary.indices(asset.faces, len(asset.vertices), stream)
    primitive = {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}
    tree: dict[str, Any] = {
        "asset": {
            "version": "2.0",
            "generator": "Field Studio",
            "extras": {"units": asset.units, **asset.extras},
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [node],
        "meshes": [{"name": asset.name, "primitives": [primitive]}],
        **looks,
    }
    if extensions:
        tree["extensionsUsed"] = list(extensions)
    if required := [name for name, is_required in extensions.items() if is_required]:
        tree["extensionsRequired"] = required
    binary.write(path, tree)


def write_collision_glb(
    path: Path,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    name: str,
    units: str = "source",
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write convex parts for physics engines: a node for each, without a material.

    They are in a file of their own, since viewers would draw them over the object. Nodes are called
    `NAME-00-convcolonly`: Godot makes a convex collision shape of such a node; other engines take every mesh of the
    file for one convex hull (in Unreal `UCX_NAME_00`, after the object's name there).

    Args:
        parts: vertices `[V, 3]` and triangles `[F, 3]` of each part, in the units of the object's file.
        name: of the object.

    Raises BadInput where the file cannot be written.
    """
    binary = GltfBinary()
    meshes, nodes = [], []
    _, offset = split_offset(np.concatenate([np.asarray(vertices) for vertices, _ in parts]))
    place = {"translation": offset.tolist()} if offset.any() else {}
    for index, (vertices, faces) in enumerate(parts):
        attributes = {"POSITION": binary.attribute((np.asarray(vertices) - offset).astype("<f4"), bounds=True)}
        primitive = {"attributes": attributes, "indices": binary.indices(faces, len(vertices)), "mode": 4}
        label = f"{name}-{index:02d}-convcolonly"
        meshes.append({"name": label, "primitives": [primitive]})
        nodes.append({"mesh": index, "name": label, **place})
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Field Studio", "extras": {"units": units, **(extras or {})}},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": meshes,
    }
    binary.write(path, tree)


def _geometry(binary: GltfBinary, asset: Asset, node: dict[str, Any], *, quantize: bool) -> dict[str, int]:
    """Add positions, normals and texture coordinates. Returns the attributes of the primitive.

    The node gets the transform from quantized positions, and from those of a mesh that is far from the origin, to the
    file's coordinates.
    """
    normals = unit_normals(asset.normals)
    if quantize:
        levels, scale, offset = quantize_positions(asset.vertices)
        node["translation"], node["scale"] = offset.tolist(), [scale] * 3
        attributes = {
            "POSITION": binary.attribute(levels, bounds=True),
            "NORMAL": binary.attribute(quantize_directions(normals), normalized=True),
        }
    else:
        vertices, offset = split_offset(asset.vertices)
        if offset.any():
            node["translation"] = offset.tolist()
        attributes = {
            "POSITION": binary.attribute(vertices.astype("<f4"), bounds=True),
            "NORMAL": binary.attribute(normals),
        }
    if asset.uv is not None:
        # glTF has the origin at the upper left.
        uv = np.stack([asset.uv[:, 0], 1 - asset.uv[:, 1]], axis=1)
        levels = quantize_uv(uv) if quantize else None
        if levels is None:
            attributes["TEXCOORD_0"] = binary.attribute(uv.astype("<f4"))
        else:
            attributes["TEXCOORD_0"] = binary.attribute(levels, normalized=True)
    return attributes


def _appearance(
    binary: GltfBinary,
    asset: Asset,
    attributes: dict[str, int],
    extensions: dict[str, bool],
    texture_format: TextureFormat,
    *,
    quantize: bool,
) -> dict[str, Any]:
    """Add the textures or the vertex colors, and the tangents.

    Returns the entries `materials`, and `images`, `samplers` and `textures` where there are some. `extensions` gets
    the names of those that are used, and whether they are required.
    """
    matt: dict[str, Any] = dict(MATT)
    material: dict[str, Any] = {"name": asset.name, "doubleSided": True, "pbrMetallicRoughness": matt}
    images: list[dict[str, Any]] = []
    textures: list[dict[str, Any]] = []

    def add_texture(image: np.ndarray, *, lossless: bool = False) -> dict[str, int]:
        content, mime = image_bytes(image, texture_format, lossless=lossless)
        images.append({"bufferView": binary.view(content), "mimeType": mime})
        source = {"source": len(images) - 1}
        if mime == "image/webp":
            extensions[WEBP] = True
            source = {"extensions": {WEBP: source}}
        textures.append({"sampler": 0, **source})
        return {"index": len(textures) - 1}

    if asset.texture is not None:
        matt["baseColorTexture"] = add_texture(asset.texture)
    elif asset.colors is not None:
        opaque = np.ones((len(asset.colors), 1))
        linear = np.concatenate([linear_values(asset.colors), opaque], axis=1)
        levels = np.rint(linear * 65535).astype("<u2")
        attributes["COLOR_0"] = binary.attribute(levels, normalized=True)
    else:
        matt["baseColorFactor"] = list(PALE)
    if asset.normal_map is not None:
        if asset.tangents is None:
            raise ValueError("a normal map needs tangents: without them each viewer makes up its own")
        material["normalTexture"] = add_texture(asset.normal_map, lossless=True)
        tangents = unit_tangents(asset.tangents, unit_normals(asset.normals))
        if quantize:
            attributes["TANGENT"] = binary.attribute(quantize_tangents(tangents), normalized=True)
        else:
            attributes["TANGENT"] = binary.attribute(tangents)
    if asset.unlit:
        # Viewers without this extension light the matt material.
        material["extensions"] = {UNLIT: {}}
        extensions[UNLIT] = False
    looks: dict[str, Any] = {"materials": [material]}
    if images:
        sampler = {
            "magFilter": LINEAR,
            "minFilter": LINEAR_MIPMAP_LINEAR,
            "wrapS": CLAMP_TO_EDGE,
            "wrapT": CLAMP_TO_EDGE,
        }
        looks |= {"images": images, "samplers": [sampler], "textures": textures}
    return looks
