"""Photographs of a cube with pictures on its faces, on a patterned ground, with exact cameras."""

from __future__ import annotations

import numpy as np
from skimage import color, data
from skimage.transform import resize

from scenes.posed.camera import Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.projection import pixel_directions

# Pixels of the pictures on the faces, and half a side of the ground.
TEXTURE = 256
GROUND = 3.0


def _faces() -> list[np.ndarray]:
    pictures = [
        data.astronaut(),
        data.coffee(),
        data.chelsea(),
        data.rocket(),
        data.cat()[:, ::-1],
        data.immunohistochemistry(),
    ]
    return [resize(p[..., :3], (TEXTURE, TEXTURE), anti_aliasing=True) for p in pictures]


class TexturedCube:
    """The scene: a cube of side 1 on the ground z = -0.5."""

    def __init__(self) -> None:
        self.faces = _faces()
        ground = color.gray2rgb(resize(data.gravel(), (TEXTURE, TEXTURE), anti_aliasing=True))
        tint = resize(data.retina(), (TEXTURE, TEXTURE), anti_aliasing=True)
        self.ground = np.clip(0.6 * np.tile(ground, (2, 2, 1)) + 0.6 * np.kron(tint, np.ones((2, 2, 1))), 0, 1)

    def photograph(self, pose: np.ndarray, intrinsics: Intrinsics, mirror: bool = False) -> np.ndarray:
        """`[H, W, 4]` uint8 as the camera sees it; alpha is the cube. `mirror`: the ground is one."""
        y, x = np.mgrid[0 : 2 * intrinsics.height, 0 : 2 * intrinsics.width]
        local = pixel_directions(intrinsics, (x.reshape(-1) + 0.5) / 2, (y.reshape(-1) + 0.5) / 2)
        colors, hit = self._seen(np.broadcast_to(pose[:, 3], local.shape), local @ pose[:, :3].T, mirror)
        shape = intrinsics.height, 2, intrinsics.width, 2
        rgba = np.concatenate([colors, hit[:, None]], axis=1).reshape(*shape, 4).mean(axis=(1, 3))
        return (255 * rgba).round().astype(np.uint8)

    def _seen(self, o: np.ndarray, d: np.ndarray, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
        """Colors `[n, 3]` along rays, and whether the cube is there."""
        d = np.where(np.abs(d) < 1e-9, 1e-9, d)
        near, far = np.sort(np.stack([(-0.5 - o) / d, (0.5 - o) / d]), axis=0)
        t, axis, end = near.max(1), near.argmax(1), far.min(1)
        hit = (t < end) & (t > 0)
        colors = np.tile(np.array([0.55, 0.65, 0.8]), (len(d), 1))
        down = (-0.5 - o[:, 2]) / d[:, 2]
        at = o + down[:, None] * d
        on_ground = (down > 1e-6) & (np.abs(at[:, :2]) < GROUND).all(1) & ~hit
        if mirror:
            colors[on_ground] = 0.8 * self._seen(at[on_ground], d[on_ground] * [1, 1, -1], False)[0]
        else:
            colors[on_ground] = _sampled(self.ground, at[on_ground, :2] / (2 * GROUND) + 0.5)
        for index in range(6):
            k = index // 2
            some = hit & (axis == k) & ((d[:, k] < 0) == (index % 2 == 0))
            at = o[some] + t[some, None] * d[some]
            across = [i for i in range(3) if i != k]
            colors[some] = _sampled(self.faces[index], at[:, across] * [1, -1] + 0.5)
        return colors, hit


def _sampled(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear samples `[n, 3]` at `[n, 2]` in 0..1, columns first."""
    size = len(texture)
    p = np.clip(uv * size - 0.5, 0, size - 1.001)
    i = p.astype(int)
    f = p - i
    x, y = i[:, 0], i[:, 1]
    top = texture[y, x] * (1 - f[:, :1]) + texture[y, x + 1] * f[:, :1]
    low = texture[y + 1, x] * (1 - f[:, :1]) + texture[y + 1, x + 1] * f[:, :1]
    return top * (1 - f[:, 1:]) + low * f[:, 1:]


def circle(
    count: int, *, degrees: float = 360.0, start: float = 0.0, radius: float = 3.0, height: float = 1.1
) -> list[np.ndarray]:
    """Poses on an arc around the cube, which look a little beside it in turn."""
    angles = np.radians(start + np.arange(count) * degrees / count)
    return [
        look_at((radius * np.cos(a), radius * np.sin(a), height + 0.2 * np.sin(3 * a)), (0, 0, -0.1)) for a in angles
    ]
