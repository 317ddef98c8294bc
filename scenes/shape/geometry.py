"""What a file of a shape holds: triangles or points, as they are written there, in the file's units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Paint:
    """Colours of a mesh: one a corner, or a texture that the corners have places in.

    `corners` is float `[F, 3, 3]`, sRGB in [0, 1]; or float `[F, 3, 2]`, texture coordinates with the origin at the
    lower left, for `texture` `[H, W, 3]` uint8.
    """

    corners: np.ndarray
    texture: np.ndarray | None = None

    def of(self, faces: np.ndarray) -> Paint:
        """That of some of the faces."""
        return Paint(self.corners[faces], self.texture)

    def at(self, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Colours `[n, 3]` float32 in `faces` `[n]` at barycentric `weights` `[n, 3]`."""
        values = np.einsum("nk,nkc->nc", weights, self.corners[faces])
        if self.texture is not None:
            values = _sample(self.texture, values)
        return np.clip(values, 0, 1).astype(np.float32)


@dataclass
class Mesh:
    """`vertices` `[V, 3]` float64, `faces` `[F, 3]` int64."""

    vertices: np.ndarray
    faces: np.ndarray
    paint: Paint | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> np.ndarray:
        return self.vertices


@dataclass
class Cloud:
    """`points` `[N, 3]` float64; `normals` `[N, 3]` and `colours` `[N, 3]` (sRGB in [0, 1]), float64, or None."""

    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def _sample(texture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear, repeated beyond [0, 1]; `[n, 2]` → `[n, 3]` in [0, 1]."""
    height, width = texture.shape[:2]
    x, y = places[:, 0] * width - 0.5, (1 - places[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    columns, rows = (x0 % width, (x0 + 1) % width), (y0 % height, (y0 + 1) % height)
    upper = texture[rows[0], columns[0]] * (1 - fx) + texture[rows[0], columns[1]] * fx
    lower = texture[rows[1], columns[0]] * (1 - fx) + texture[rows[1], columns[1]] * fx
    return (upper * (1 - fy) + lower * fy) / 255
