"""Points at which a shape is sampled for training, and their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes.shape.base import Surface

# Parts of the samples: fraction, and standard deviation of the offset from the surface in unit cubes. None: anywhere in
# the cube.
Mix = Sequence[tuple[float, float | None]]
MIX: Mix = ((0.40, 0.003), (0.30, 0.01), (0.20, 0.04), (0.10, None))


def training_points(surface: Surface, count: int, generator: np.random.Generator, mix: Mix = MIX) -> np.ndarray:
    """About `count` points `[n, 3]` float32 in [0, 1]^3, in the order of a space-filling curve.

    Most are near the surface, where a field has its detail and its sign. `StratifiedSampler` takes one of each run of
    neighbours, so in this order every batch is spread over the shape, and goes through it on a path that suits caches.
    """
    parts = []
    for fraction, width in mix:
        n = round(fraction * count)
        if width is None:
            parts.append(generator.random((n, 3)))
        else:
            points = surface.sample(n, generator).points
            parts.append(points + width * generator.standard_normal((n, 3)))
    points = np.concatenate(parts).astype(np.float32)
    points = points[((points >= 0) & (points <= 1)).all(axis=1)]
    return points[np.argsort(_morton_code(points), kind="stable")]


def _morton_code(points: np.ndarray) -> np.ndarray:
    """Position on a Z-order curve of 1024 cells along each axis, `[n]` uint32 (Morton 1966)."""
    cells = np.minimum((points * 1024).astype(np.uint32), 1023)
    code = np.zeros(len(points), np.uint32)
    for axis in range(3):
        part = cells[:, axis]
        for shift, mask in ((16, 0x30000FF), (8, 0x300F00F), (4, 0x30C30C3), (2, 0x9249249)):
            part = (part | (part << np.uint32(shift))) & np.uint32(mask)
        code |= part << np.uint32(axis)
    return code
