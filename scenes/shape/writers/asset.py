"""A mesh with its appearance, as the writers take it."""

from __future__ import annotations

import io
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from scenes.errors import BadInput

# Formats of textures inside of a file.
TextureFormat = Literal["png", "jpeg", "webp"]
# Quality of JPEG and WebP textures: at 95 the error (about 45 dB) is far below that of the texture itself.
TEXTURE_QUALITY = 95
# WebP's largest image, in pixels along a side.
WEBP_SIDE = 16383


@dataclass
class Asset:
    """A mesh to write.

    Attributes:
        vertices: `[V, 3]`, in the file's units.
        faces: `[F, 3]`, indices of vertices, counter-clockwise from outside.
        normals: `[V, 3]`, unit.
        colors: `[V, 3]` sRGB in [0, 1] of the vertices.
        uv: `[V, 2]` texture coordinates, with the origin at the lower left.
        texture: `[H, W, 3]` uint8 sRGB, the first row at the top.
        normal_map: `[H, W, 3]` uint8, tangent-space normals, in OpenGL's convention (green is up).
        tangents: `[V, 4]` for the normal map: unit tangents, and the sign of the bitangent.
        unlit: the colors hold the light already, as photographs do; viewers should show them without lighting.
        units: "metres", or "source" for those of the data that the mesh comes from.
        extras: values of JSON for formats that can hold them, such as the transform back to the source.
        name: of the object in the file.

    Raises ValueError for arrays that do not fit together, an empty mesh, or positions that are not finite.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    _: KW_ONLY
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    tangents: np.ndarray | None = None
    unlit: bool = False
    units: Literal["source", "metres"] = "source"
    extras: dict[str, Any] = field(default_factory=dict)
    name: str = "mesh"

    def __post_init__(self) -> None:
        count = len(self.vertices)
        if count == 0 or len(self.faces) == 0:
            raise ValueError("a mesh to write has at least one triangle")
        if not np.isfinite(self.vertices).all():
            raise ValueError("positions of vertices are finite")
        if self.faces.min() < 0 or self.faces.max() >= count:
            raise ValueError("faces are indices of vertices")
        for name in ("normals", "colors", "uv", "tangents"):
            values = getattr(self, name)
            if values is not None and len(values) != count:
                raise ValueError(f"{name} have a row for each of the {count} vertices, not {len(values)}")
        if self.uv is None and (self.texture is not None or self.normal_map is not None):
            raise ValueError("a texture needs texture coordinates")

    def reordered(self, order: np.ndarray) -> Asset:
        """The same mesh with its vertices in another order: `order[new index]` `[V]` is the old index."""
        new = np.empty(len(order), np.int64)
        new[order] = np.arange(len(order))
        changed = {
            name: values[order]
            for name in ("vertices", "normals", "colors", "uv", "tangents")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, faces=new[self.faces], **changed)


def image_bytes(image: np.ndarray, texture_format: TextureFormat, *, lossless: bool = False) -> tuple[bytes, str]:
    """An image `[H, W, 3]` uint8 as the content of a file, and its MIME type.

    The files have no color profile and no gamma, which glTF's validator warns of. lossless: for values that are no
    colors; a JPEG is replaced by a PNG then. Raises BadInput where the format cannot hold so large an image.
    """
    from PIL import Image

    if texture_format == "jpeg" and lossless:
        texture_format = "png"
    if texture_format == "webp" and max(image.shape[:2]) > WEBP_SIDE:
        raise BadInput(f"`texture_format=webp`: holds at most {WEBP_SIDE} pixels along a side")
    options: dict[str, dict[str, Any]] = {
        "png": {},
        # Charts lie next to each other: colors at half the resolution would bleed across their borders.
        "jpeg": {"quality": TEXTURE_QUALITY, "subsampling": 0, "optimize": True},
        "webp": {"lossless": True} if lossless else {"quality": TEXTURE_QUALITY},
    }
    content = io.BytesIO()
    Image.fromarray(image).save(content, texture_format.upper(), **options[texture_format])
    return content.getvalue(), f"image/{texture_format}"


def png_bytes(image: np.ndarray) -> bytes:
    """An image `[H, W, 3]` uint8 as the content of a PNG file."""
    return image_bytes(image, "png")[0]


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Normals `[V, 3]` float32 of unit length; one that is zero or not finite becomes the y axis."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-6)
    return np.where(usable, normals / np.where(usable, length, 1), np.array([0, 1, 0])).astype(np.float32)


def unit_tangents(tangents: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Tangents `[V, 4]` float32: unit length, and 1 or -1 as the sign of the bitangent.

    A tangent that is zero or not finite becomes any direction across the normal `[V, 3]`, as nothing refers to it.
    """
    length = np.linalg.norm(tangents[:, :3], axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-6)
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    across = np.cross(normals, axis)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    direction = np.where(usable, tangents[:, :3] / np.where(usable, length, 1), across)
    sign = np.where(tangents[:, 3:] < 0, -1.0, 1.0)
    return np.concatenate([direction, sign], axis=1).astype(np.float32)


def srgb_levels(colors: np.ndarray) -> np.ndarray:
    """Colors `[n, 3]` in [0, 1] as uint8; values outside are clipped."""
    return np.rint(np.clip(np.nan_to_num(colors), 0, 1) * 255).astype(np.uint8)
