"""Colours of glTF's materials: factor, texture with its transform and sampler, colours of vertices."""

from __future__ import annotations

from typing import Any

import numpy as np

from scenes.shape.colors import MeshColors, Texture, Wrap
from scenes.shape.readers.gltf_file import GltfFile
from scenes.shape.readers.images import decoded

WRAPS: dict[int, Wrap] = {10497: "repeat", 33071: "clamp", 33648: "mirror"}
NEAREST = 9728
# Extensions of a texture that name its image, in formats that are read wholly or in part. Where one cannot be read, the
# texture's plain image counts, if there is one.
IMAGE_EXTENSIONS = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds", "KHR_texture_basisu")
SPECULAR = "KHR_materials_pbrSpecularGlossiness"
TRANSFORM = "KHR_texture_transform"


class GltfLooks:
    """The colours of a file's primitives. notes: remarks on what cannot be read."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        self.notes: list[str] = []
        self._textures: dict[int, Texture | None] = {}
        self._images: dict[int, np.ndarray | None] = {}

    def of(self, primitive: dict[str, Any], attributes: dict[str, np.ndarray], faces: np.ndarray) -> MeshColors:
        """Colours of a primitive's triangles `[F, 3]`; white where nothing says otherwise."""
        factor, info = self._base_color(primitive.get("material"))
        corners = np.broadcast_to(factor, (len(faces), 3, 3)).copy()
        if (color := attributes.get("COLOR_0")) is not None:
            if color.dtype.kind == "i":
                # Integers have to be normalized. Some programs forget to say so.
                color = color / (255 if color.max(initial=0) <= 255 else 65535)
                self.notes.append("the colours of vertices are not marked as normalized: read as fractions")
            corners *= color[faces][..., :3]
        if info is None:
            return MeshColors(corners, linear=True)
        extension = info.get("extensions", {}).get(TRANSFORM, {})
        uv = attributes.get(f"TEXCOORD_{extension.get('texCoord', info.get('texCoord', 0))}")
        texture = self._texture(info["index"])
        if uv is None or texture is None:
            return MeshColors(corners, linear=True)
        uv = _transformed(uv[:, :2], extension)
        # glTF has the origin at the upper left.
        uv = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
        return MeshColors(corners, True, uv[faces], [texture], np.zeros(len(faces), np.int64))

    def _base_color(self, material: int | None) -> tuple[np.ndarray, dict[str, Any] | None]:
        """Linear factor `[3]`, and the texture's info or None."""
        if material is None:
            return np.ones(3), None
        entry = self.file.item("materials", material)
        if specular := entry.get("extensions", {}).get(SPECULAR):
            return np.array(specular.get("diffuseFactor", [1, 1, 1])[:3], np.float64), specular.get("diffuseTexture")
        base = entry.get("pbrMetallicRoughness", {})
        return np.array(base.get("baseColorFactor", [1, 1, 1])[:3], np.float64), base.get("baseColorTexture")

    def _texture(self, index: int) -> Texture | None:
        if index not in self._textures:
            entry = self.file.item("textures", index)
            sampler = self.file.item("samplers", entry["sampler"]) if "sampler" in entry else {}
            extensions = entry.get("extensions", {})
            sources = [extensions[name].get("source") for name in IMAGE_EXTENSIONS if name in extensions]
            sources = [source for source in (*sources, entry.get("source")) if source is not None]
            problems: list[str] = []
            if not sources:
                names = ", ".join(extensions) or "no image"
                problems.append(f"a texture is stored as {names}, which is not read: fitted without it")
            found = (self._image(source, problems) for source in sources)
            image = next((image for image in found if image is not None), None)
            if image is None:
                self.notes += problems
            wrap = (WRAPS.get(sampler.get("wrapS", 0), "repeat"), WRAPS.get(sampler.get("wrapT", 0), "repeat"))
            nearest = sampler.get("magFilter") == NEAREST
            self._textures[index] = None if image is None else Texture(image, wrap, nearest)
        return self._textures[index]

    def _image(self, index: int, problems: list[str]) -> np.ndarray | None:
        """The image with a number; None where it cannot be read, which `problems` then says."""
        if index not in self._images:
            entry = self.file.item("images", index)
            uri = entry.get("uri")
            content = self.file.view(entry["bufferView"]) if "bufferView" in entry else self.file.uri_content(uri or "")
            self._images[index] = None
            name = entry.get("name") or (uri if uri and not uri.startswith("data:") else f"number {index}")
            if content is None:
                problems.append(f"the texture {name} is not beside the file: fitted without it")
            else:
                try:
                    self._images[index] = decoded(content)
                except Exception as error:  # noqa: BLE001  (Pillow raises many types for damaged bytes)
                    problems.append(f"the texture {name} cannot be read ({str(error)[:200]}): fitted without it")
        return self._images[index]


def _transformed(uv: np.ndarray, extension: dict[str, Any]) -> np.ndarray:
    """Texture coordinates `[V, 2]` after KHR_texture_transform: scaled, turned and moved.

    A positive angle turns them counter-clockwise as seen with v downwards, as the Khronos sample viewer does.
    """
    if not extension:
        return uv
    angle = extension.get("rotation", 0.0)
    scale, offset = extension.get("scale", [1, 1]), extension.get("offset", [0, 0])
    u, v = uv[:, 0] * scale[0], uv[:, 1] * scale[1]
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([cosine * u + sine * v + offset[0], cosine * v - sine * u + offset[1]], axis=1)
