"""What the files of meshes are written from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Asset:
    """`vertices` `[V, 3]` in the file's units, `faces` `[F, 3]`; `normals` `[V, 3]`, unit; the rest may be None.

    colours     sRGB `[V, 3]` in [0, 1], one a vertex
    uv          `[V, 2]`, the origin at the lower left, with `texture` `[H, W, 3]` uint8 sRGB, the first row at the top
    normal_map  `[H, W, 3]` uint8: tangent-space normals for `tangents` `[V, 4]` (unit, and the bitangent's sign)
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    tangents: np.ndarray | None = None
    name: str = "mesh"


def png(picture: np.ndarray) -> bytes:
    """A picture `[H, W, 3]` uint8 as the content of a PNG file."""
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
