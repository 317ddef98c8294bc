"""Draw textured triangles by casting rays with Open3D (Embree), independently of everything in the project.

It draws the photographs of the rendered scenes, and the files that are scored. Camera rays, distortion and colours are
computed here and not by `scenes` or `fields`, so that an error of theirs cannot hide in both sides of a comparison.
Samples of a pixel are averaged in sRGB, as straight alpha over a background is in all radiance methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenes.posed.camera import Camera

# Samples along each side of a pixel that shows something.
SAMPLES = 3
# Pixels around those whose centre hits something that are sampled as well: edges and thin parts pass between centres.
MARGIN = 2
# Entries of the table from linear light to sRGB: steps below a tenth of a byte, also where the curve is steepest.
ENCODING_STEPS = 1 << 16
# Iterations of the fixed point that undoes a lens distortion (as OpenCV's undistortPoints), for |k| below about 0.3.
UNDISTORT_STEPS = 20
# Color of a mesh without any, linear.
NO_COLOR = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """Triangles of one material.

    Attributes:
        vertices: `[V, 3]` float64.
        faces: `[F, 3]` int64, counter-clockwise from outside.
        normals: `[V, 3]` of the file, unit, or None.
        uv: `[V, 2]`, origin at the upper left corner of the image as in glTF, or None.
        texture: `[H, W, 3]` uint8 sRGB, or None.
        colors: `[V, 3]` linear light in [0, 1] by which the texture is multiplied, or None.
        smooth: whether the texture is read between four texels.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    colors: np.ndarray | None = None
    smooth: bool = True

    def color(self, triangles: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Linear light `[N, 3]` float32 at points of triangles `[N]` with barycentric weights `[N, 3]`."""
        corners = self.faces[triangles]
        found = np.ones((len(triangles), 3), np.float32)
        if self.texture is not None and self.uv is not None:
            found = texels(self.texture, interpolated(self.uv, corners, weights), self.smooth)
        elif self.colors is None:
            found *= np.float32(NO_COLOR)
        return found if self.colors is None else found * interpolated(self.colors, corners, weights)


def interpolated(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values `[V, C]` between the corners `[N, 3]` of triangles by the weights `[N, 3]`: `[N, C]` float32."""
    values = np.asarray(values, np.float32)
    return sum(weights[:, k, None] * values[corners[:, k]] for k in range(3))  # type: ignore[return-value]


@cache
def _decoding() -> np.ndarray:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def _encoding() -> np.ndarray:
    value = np.arange(ENCODING_STEPS) / (ENCODING_STEPS - 1)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1], float32, of sRGB bytes."""
    return _decoding()[srgb]


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1], float32, of linear light, which is clipped to [0, 1]."""
    return _encoding()[(np.clip(linear, 0, 1) * (ENCODING_STEPS - 1) + 0.5).astype(np.int32)]


def texels(texture: np.ndarray, uv: np.ndarray, smooth: bool = True) -> np.ndarray:
    """Linear light `[N, 3]` float32 of a repeated sRGB texture `[H, W, 3]` uint8 at `uv` `[N, 2]`, v downwards."""
    height, width = texture.shape[:2]
    flat = texture.reshape(-1, 3)
    # The wrap keeps whole parts small before pixels are counted.
    uv = uv - np.floor(np.where(np.abs(uv - 0.5) <= 0.5, 0, uv))
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    if not smooth:
        return to_linear(flat[(np.rint(y).astype(int) % height) * width + np.rint(x).astype(int) % width])
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
    left, right = x0 % width, (x0 + 1) % width
    upper, lower = (y0 % height) * width, ((y0 + 1) % height) * width
    return (to_linear(flat[upper + left]) * (1 - fx) + to_linear(flat[upper + right]) * fx) * (1 - fy) + (
        to_linear(flat[lower + left]) * (1 - fx) + to_linear(flat[lower + right]) * fx
    ) * fy


def directions(camera: Camera, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Directions `[N, 3]` float32 of unit length through points of the image, pixel centres at +0.5.

    Pinhole and OpenCV's (k1, k2, p1, p2). Raises ValueError for another lens.
    """
    lens = camera.intrinsics
    u, v = (x - lens.cx) / lens.fl_x, (y - lens.cy) / lens.fl_y
    if lens.model == "opencv":
        k1, k2, p1, p2 = lens.distortion
        a, b = u, v
        for _ in range(UNDISTORT_STEPS):
            r2 = a * a + b * b
            radial = 1 + k1 * r2 + k2 * r2 * r2
            a, b = (
                (u - 2 * p1 * a * b - p2 * (r2 + 2 * a * a)) / radial,
                (v - p1 * (r2 + 2 * b * b) - 2 * p2 * a * b) / radial,
            )
        u, v = a, b
    elif lens.model != "pinhole":
        raise ValueError(f"this renderer has pinhole and opencv lenses, not {lens.model}")
    right, up, back = camera.pose[:, 0], camera.pose[:, 1], camera.pose[:, 2]
    found = u[:, None] * right - v[:, None] * up - back
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Hits:
    """What rays meet: the indices of those that hit, and of each its model, triangle, corner weights and distance."""

    rays: np.ndarray
    models: np.ndarray
    triangles: np.ndarray
    weights: np.ndarray
    distances: np.ndarray


# From hits of one model, the rays' directions `[N, 3]` and linear colors `[N, 3]` to linear colors `[N, 3]`.
Shader = Callable[[Model, Hits, np.ndarray, np.ndarray], np.ndarray]


class Drawing:
    """Models that rays can be cast at."""

    def __init__(self, models: Sequence[Model]) -> None:
        import open3d

        self.models = list(models)
        self.scene = open3d.t.geometry.RaycastingScene()
        self._tensor = open3d.core.Tensor.from_numpy
        for model in self.models:
            self.scene.add_triangles(
                self._tensor(np.ascontiguousarray(model.vertices, np.float32)),
                self._tensor(np.ascontiguousarray(model.faces, np.uint32)),
            )

    def cast(self, origin: np.ndarray, towards: np.ndarray) -> Hits:
        """What rays from `origin` (`[3]` or `[N, 3]`) in the directions `[N, 3]` meet first."""
        rays = np.empty((len(towards), 6), np.float32)
        rays[:, :3], rays[:, 3:] = origin, towards
        answer = self.scene.cast_rays(self._tensor(rays))
        distance = answer["t_hit"].numpy()
        hit = np.flatnonzero(np.isfinite(distance))
        second = answer["primitive_uvs"].numpy()[hit]
        weights = np.concatenate([1 - second.sum(axis=1, keepdims=True), second], axis=1)
        models = answer["geometry_ids"].numpy()[hit].astype(np.int64)
        return Hits(hit, models, answer["primitive_ids"].numpy()[hit].astype(np.int64), weights, distance[hit])

    def blocked(self, origins: np.ndarray, towards: np.ndarray, far: float | np.ndarray = np.inf) -> np.ndarray:
        """Which rays `[N]` meet something before `far`."""
        rays = np.concatenate([origins, towards], axis=1).astype(np.float32)
        if np.ndim(far) == 0:
            return self.scene.test_occlusions(self._tensor(rays), tfar=float(far)).numpy()
        answer = self.scene.cast_rays(self._tensor(rays))
        return answer["t_hit"].numpy() < far

    def colors(self, origin: np.ndarray, towards: np.ndarray, shader: Shader | None = None) -> np.ndarray:
        """Premultiplied sRGB and alpha `[N, 4]` float32 along rays: of the first surface, or nothing."""
        hits = self.cast(origin, towards)
        found = np.zeros((len(towards), 4), np.float32)
        for index, model in enumerate(self.models):
            mine = hits.models == index
            if not mine.any():
                continue
            part = hits
            if not mine.all():
                part = Hits(*(getattr(hits, name)[mine] for name in Hits.__dataclass_fields__))
            color = model.color(part.triangles, part.weights)
            if shader is not None:
                color = shader(model, part, towards[part.rays], color)
            found[part.rays, :3] = to_srgb(color)
            found[part.rays, 3] = 1
        return found

    def draw(self, camera: Camera, samples: int = SAMPLES, shader: Shader | None = None) -> np.ndarray:
        """The image of a camera, `[H, W, 4]` float32: premultiplied sRGB and alpha, mean of `samples`² rays a pixel."""
        height, width = camera.intrinsics.height, camera.intrinsics.width
        rows, columns = np.mgrid[0:height, 0:width]
        through = directions(camera, columns.reshape(-1) + 0.5, rows.reshape(-1) + 0.5)
        seen = np.zeros(height * width, bool)
        seen[self.cast(camera.position, through).rays] = True
        y, x = np.nonzero(_grown(seen.reshape(height, width), MARGIN))
        within = (np.arange(samples) + 0.5) / samples
        across = (x[:, None, None] + within[None, None, :]).repeat(samples, axis=1)
        down = (y[:, None, None] + within[None, :, None]).repeat(samples, axis=2)
        image = np.zeros((height, width, 4), np.float32)
        through = directions(camera, across.reshape(-1), down.reshape(-1))
        image[y, x] = self.colors(camera.position, through, shader).reshape(-1, samples**2, 4).mean(axis=1)
        return image

    def depth(self, camera: Camera) -> np.ndarray:
        """Depth along the optical axis through pixel centres, `[H, W]` float32; 0 where nothing is."""
        height, width = camera.intrinsics.height, camera.intrinsics.width
        rows, columns = np.mgrid[0:height, 0:width]
        through = directions(camera, columns.reshape(-1) + 0.5, rows.reshape(-1) + 0.5)
        hits = self.cast(camera.position, through)
        found = np.zeros(height * width, np.float32)
        found[hits.rays] = hits.distances * (through[hits.rays] @ -camera.pose[:, 2].astype(np.float32))
        return found.reshape(height, width)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask `[H, W]` with the pixels around it."""
    grown = mask.copy()
    for axis in (0, 1):
        source = grown.copy()
        for step in range(1, by + 1):
            for sign in (-step, step):
                shifted = np.roll(source, sign, axis=axis)
                edge = [slice(None), slice(None)]
                edge[axis] = slice(0, sign) if sign > 0 else slice(sign, None)
                shifted[tuple(edge)] = False
                grown |= shifted
    return grown
