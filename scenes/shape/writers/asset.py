"""A mesh with its appearance, as the writers take it."""

from __future__ import annotations

import io
from dataclasses import KW_ONLY, dataclass

import numpy as np


@dataclass
class Asset:
    """A mesh to write.

    Attributes:
        vertices: `[V, 3]`, in the file's units.
        faces: `[F, 3]`, indices of vertices.
        normals: `[V, 3]`, unit.
        colors: `[V, 3]` sRGB in [0, 1] of the vertices.
        uv: `[V, 2]` texture coordinates, with the origin at the lower left.
        texture: `[H, W, 3]` uint8 sRGB, the first row at the top.
        normal_map: `[H, W, 3]` uint8, tangent-space normals.
        tangents: `[V, 4]` for the normal map: unit tangents, and the sign of the bitangent.
        name: of the object in the file.
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
    name: str = "mesh"


def png_bytes(image: np.ndarray) -> bytes:
    """An image `[H, W, 3]` uint8 as the content of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
