"""A cube of six charts, with colors that are a function of the point, and photographs of it by ray casting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scenes.posed.camera import Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.view import View

# Half of the cube's side.
HALF = 0.5
# Samples along each side of a pixel of the photographs.
SAMPLES = 3
# Squares along the sides of the cube's faces.
CELLS = 4

Paint = Callable[[np.ndarray], np.ndarray]


def cube(gap: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and texture coordinates. Each side is a chart; the gaps are 8 of 128 texels wide."""
    vertices, faces, uv = [], [], []
    steps = np.linspace(0, 1, CELLS + 1)
    for side in range(6):
        axis, sign = side // 2, 1 - 2 * (side % 2)
        u, v = np.meshgrid(steps, steps, indexing="ij")
        points = np.empty((u.size, 3))
        points[:, axis] = sign * HALF
        points[:, (axis + 1) % 3] = u.reshape(-1) - HALF
        points[:, (axis + 2) % 3] = sign * (v.reshape(-1) - HALF)
        first = len(vertices) * (CELLS + 1) ** 2
        i, j = (part.reshape(-1) for part in np.meshgrid(range(CELLS), range(CELLS), indexing="ij"))
        corner = first + i * (CELLS + 1) + j
        faces += [
            np.stack([corner, corner + CELLS + 1, corner + CELLS + 2], axis=1),
            np.stack([corner, corner + CELLS + 2, corner + 1], axis=1),
        ]
        vertices.append(points)
        inner = gap / 2 + (1 - gap) * np.stack([u.reshape(-1), v.reshape(-1)], axis=1)
        uv.append((inner + [side % 3, side // 3]) / 3)
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(uv)


def waves(points: np.ndarray) -> np.ndarray:
    """Smooth colors in [0.1, 0.9]."""
    return 0.5 + 0.4 * np.sin(points @ np.array([[7.0, 3, 2], [2, 8, 5], [4, 1, 9]]))


def photographs(
    paint: Paint, count: int = 16, side: int = 64, *, gains: Sequence[float] | None = None, above: bool = False
) -> list[View]:
    """RGBA photographs from all around, or from above only. gains: factors on the sRGB values of each."""
    views = []
    for index in range(count):
        z = 1 - (2 * index + 1) / count
        z = 0.5 + 0.45 * z if above else z
        angle = index * 2.399963
        place = 2.4 * np.array([np.cos(angle) * (1 - z * z) ** 0.5, np.sin(angle) * (1 - z * z) ** 0.5, z])
        view = View(pose=look_at(place, (0.0, 0.0, 0.0)), intrinsics=Intrinsics.pinhole(side, side, 1.15 * side))
        pixels = picture(view, paint, 1.0 if gains is None else gains[index])
        views.append(View(pose=view.pose, intrinsics=view.intrinsics, name=str(index), split="train", pixels=pixels))
    return views


def picture(view: View, paint: Paint, gain: float = 1.0) -> np.ndarray:
    """The photograph of a view, `[H, W, 4]` uint8 with straight alpha."""
    side = view.intrinsics.width
    y, x = (np.mgrid[0 : SAMPLES * side, 0 : SAMPLES * side] + 0.5) / SAMPLES
    origins, directions = view.rays_through(x.reshape(-1), y.reshape(-1))
    with np.errstate(divide="ignore"):
        ends = (np.stack([-HALF, HALF] * np.ones((3, 1)), 1)[:, None] - origins) / directions
    near, far = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
    hit = near < far
    colors = np.zeros((len(hit), 4))
    colors[hit, :3] = np.clip(paint(origins[hit] + near[hit, None] * directions[hit]) * gain, 0, 1)
    colors[hit, 3] = 1
    colors = colors.reshape(side, SAMPLES, side, SAMPLES, 4).mean(axis=(1, 3))
    colors[..., :3] /= np.maximum(colors[..., 3:], 1e-9)
    return np.rint(255 * colors).astype(np.uint8)
