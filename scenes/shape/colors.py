"""Colours of meshes: at the corners of faces, from textures, or one times the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Wrap = Literal["repeat", "clamp", "mirror"]
# Colour of faces without one in a file whose other faces are coloured, sRGB; as glTF's default material.
UNCOLORED = 1.0


@dataclass(frozen=True)
class Texture:
    """An image `[H, W, 3]` uint8 sRGB, the first row at the top; how it goes on beyond [0, 1], along u and along v.

    nearest: texels are not interpolated.
    """

    image: np.ndarray
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    nearest: bool = False

    def at(self, uv: np.ndarray) -> np.ndarray:
        """sRGB `[n, 3]` in [0, 1] at texture coordinates `[n, 2]` with the origin at the lower left."""
        height, width = self.image.shape[:2]
        x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
        if self.nearest:
            x, y = np.rint(x), np.rint(y)
        x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        columns = [_wrapped(x0 + step, width, self.wrap[0]) for step in (0, 1)]
        rows = [_wrapped(y0 + step, height, self.wrap[1]) for step in (0, 1)]
        upper = self.image[rows[0], columns[0]] * (1 - fx) + self.image[rows[0], columns[1]] * fx
        lower = self.image[rows[1], columns[0]] * (1 - fx) + self.image[rows[1], columns[1]] * fx
        return (upper * (1 - fy) + lower * fy) / 255


@dataclass
class MeshColors:
    """Colours of a mesh with F faces.

    Attributes:
        corners: float `[F, 3, 3]` in [0, 1] at the corners of the faces. They are multiplied with the texture where a
            face has one.
        linear: whether `corners` are linear light, as in glTF, and multiplied with linear texels; else they are sRGB.
        uv: float `[F, 3, 2]`, texture coordinates with the origin at the lower left; None without textures.
        textures: the images.
        texture_of: `[F]`, the texture of each face, -1 for none.
    """

    corners: np.ndarray
    linear: bool = False
    uv: np.ndarray | None = None
    textures: list[Texture] = field(default_factory=list)
    texture_of: np.ndarray | None = None

    def subset(self, faces: np.ndarray) -> MeshColors:
        """The colours of some of the faces, given by their indices."""
        return replace(
            self,
            corners=self.corners[faces],
            uv=None if self.uv is None else self.uv[faces],
            texture_of=None if self.texture_of is None else self.texture_of[faces],
        )

    def flipped(self, which: np.ndarray) -> MeshColors:
        """The colours when the corners of some faces, given by a mask `[F]`, are in reverse order."""

        def turned(values: np.ndarray) -> np.ndarray:
            return np.where(which[:, None, None], values[:, ::-1], values)

        return replace(self, corners=turned(self.corners), uv=None if self.uv is None else turned(self.uv))

    def at(self, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """sRGB `[n, 3]` float32 in [0, 1] in `faces` `[n]` at barycentric `weights` `[n, 3]`."""
        values = np.einsum("nk,nkc->nc", weights, self.corners[faces])
        if self.linear:
            values = srgb_values(values)
        if self.uv is not None and self.texture_of is not None:
            index = self.texture_of[faces]
            for number, texture in enumerate(self.textures):
                chosen = np.flatnonzero(index == number)
                if not len(chosen):
                    continue
                texels = texture.at(np.einsum("nk,nkc->nc", weights[chosen], self.uv[faces[chosen]]))
                values[chosen] = self._product(values[chosen], texels)
        return np.clip(values, 0, 1).astype(np.float32)

    def _product(self, factor: np.ndarray, texels: np.ndarray) -> np.ndarray:
        """Product of two sRGB colours in the space in which the file multiplies them."""
        if not self.linear or (factor == 1).all():
            return factor * texels
        return srgb_values(linear_values(factor) * linear_values(texels))


def joined_colors(parts: Sequence[MeshColors | None], counts: Sequence[int]) -> MeshColors | None:
    """Colours of several meshes in one; those without colours become white. None where none has colours.

    Args:
        parts: of each mesh, all of them linear or none.
        counts: number of faces of each mesh.
    """
    colored = [part for part in parts if part is not None]
    if not colored:
        return None
    textures: list[Texture] = []
    corners, uv, texture_of = [], [], []
    for part, count in zip(parts, counts):
        corners.append(np.full((count, 3, 3), UNCOLORED) if part is None else part.corners)
        if part is None or part.uv is None or part.texture_of is None:
            uv.append(np.zeros((count, 3, 2)))
            texture_of.append(np.full(count, -1))
            continue
        numbers = []
        for texture in part.textures:
            known = [number for number, other in enumerate(textures) if other is texture]
            numbers.append(known[0] if known else len(textures))
            if not known:
                textures.append(texture)
        uv.append(part.uv)
        texture_of.append(np.where(part.texture_of < 0, -1, np.array([*numbers, -1])[part.texture_of]))
    result = MeshColors(np.concatenate(corners), colored[0].linear)
    if textures:
        result.uv, result.textures, result.texture_of = np.concatenate(uv), textures, np.concatenate(texture_of)
    return result


def linear_values(colors: np.ndarray) -> np.ndarray:
    """Linear values of sRGB colours (IEC 61966-2-1); those outside of [0, 1] are clipped, NaN becomes 0."""
    colors = np.clip(np.nan_to_num(colors), 0, 1)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def srgb_values(colors: np.ndarray) -> np.ndarray:
    """sRGB values of linear colours, the inverse of `linear_values`."""
    colors = np.clip(np.nan_to_num(colors), 0, 1)
    return np.where(colors <= 0.0031308, colors * 12.92, 1.055 * colors ** (1 / 2.4) - 0.055)


def color_fractions(values: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Colours `[n, c]` of a file as fractions in [0, 1], and a note where their range had to be guessed.

    Bytes are fractions of 255, 16-bit integers of 65535, unless none of these exceeds 255: many programs write bytes
    into wider types. Of text and floats, the largest value tells.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    largest = float(finite.max()) if finite.size else 0.0
    if values.dtype == np.uint8:
        return values / 255, None
    if values.dtype.kind in "iu":
        if largest > 255:
            return values / 65535, None
        if values.dtype.itemsize == 1:
            return values / 127, None
        return values / 255, f"the colours are {values.dtype.itemsize * 8}-bit integers of 255 at most: read as bytes"
    if largest <= 1:
        return values.astype(np.float64), None
    scale = 255 if largest <= 255 else 65535
    return values / scale, f"the colours are numbers up to {largest:g}: read as fractions of {scale}"


def _wrapped(index: np.ndarray, size: int, wrap: Wrap) -> np.ndarray:
    """Indices of texels in [0, size)."""
    if wrap == "clamp":
        return np.clip(index, 0, size - 1)
    if wrap == "mirror":
        index = index % (2 * size)
        return np.where(index < size, index, 2 * size - 1 - index)
    return index % size
