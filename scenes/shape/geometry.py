"""Triangles and points of a shape as a file holds them, in the file's units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class MeshColors:
    """Colours of a mesh, given at the corners of its faces or by a texture.

    Attributes:
        corners: float `[F, 3, 3]`, sRGB in [0, 1]; or float `[F, 3, 2]`, texture coordinates with the origin at the
            lower left, for `texture` `[H, W, 3]` uint8 sRGB.
    """

    corners: np.ndarray
    texture: np.ndarray | None = None

    def subset(self, faces: np.ndarray) -> MeshColors:
        """The colours of some of the faces, given by their indices."""
        return MeshColors(self.corners[faces], self.texture)

    def flipped(self) -> MeshColors:
        """The colours of faces whose corners are in reverse order."""
        return MeshColors(self.corners[:, ::-1], self.texture)

    def at(self, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """sRGB `[n, 3]` float32 in [0, 1] in `faces` `[n]` at barycentric `weights` `[n, 3]`."""
        values = np.einsum("nk,nkc->nc", weights, self.corners[faces])
        if self.texture is not None:
            values = _sample_texture(self.texture, values)
        return np.clip(values, 0, 1).astype(np.float32)


@dataclass
class Mesh:
    """vertices: `[V, 3]` float64. faces: `[F, 3]` int64. notes: remarks of the reader for the user."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: MeshColors | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> np.ndarray:
        """The vertices, under the name that they have in a `Cloud`."""
        return self.vertices


@dataclass
class Cloud:
    """points, normals: `[N, 3]` float64. colors: `[N, 3]` float64, sRGB in [0, 1]. notes: remarks of the reader."""

    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def _sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Colours `[n, 3]` in [0, 1] at texture coordinates `[n, 2]`, bilinear; the texture is repeated beyond [0, 1]."""
    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    columns, rows = (x0 % width, (x0 + 1) % width), (y0 % height, (y0 + 1) % height)
    upper = texture[rows[0], columns[0]] * (1 - fx) + texture[rows[0], columns[1]] * fx
    lower = texture[rows[1], columns[0]] * (1 - fx) + texture[rows[1], columns[1]] * fx
    return (upper * (1 - fy) + lower * fy) / 255
