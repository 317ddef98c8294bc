"""The places where a shape is sampled for training, and in what order they lie."""

from __future__ import annotations

import numpy as np

# Shares of the samples: (share, standard deviation of the offset from the surface in unit cubes); None: anywhere in the cube.
MIX = ((0.40, 0.003), (0.30, 0.01), (0.20, 0.04), (0.10, None))


def training_places(surface, count: int, generator: np.random.Generator, mix=MIX) -> np.ndarray:
    """About `count` places `[n, 3]` float32 in [0, 1]^3, along a space-filling curve.

    Most are near the surface, as there a field has its detail and its sign. `StratifiedSampler` takes one of each run of
    neighbours, so in this order every batch is spread over the shape, and goes through it on a path that is kind to caches.
    """
    parts = []
    for share, width in mix:
        n = round(share * count)
        if width is None:
            parts.append(generator.random((n, 3)))
        else:
            places = surface.sample(n, generator)[0]
            parts.append(places + width * generator.standard_normal((n, 3)))
    places = np.concatenate(parts).astype(np.float32)
    places = places[((places >= 0) & (places <= 1)).all(axis=1)]
    return places[np.argsort(_morton(places), kind="stable")]


def _morton(places: np.ndarray) -> np.ndarray:
    """Position on a Z-order curve of 1024 cells an axis, `[n]` uint32."""
    cell = np.minimum((places * 1024).astype(np.uint32), 1023)
    code = np.zeros(len(places), np.uint32)
    for axis in range(3):
        part = cell[:, axis]
        for shift, mask in ((16, 0x30000FF), (8, 0x300F00F), (4, 0x30C30C3), (2, 0x9249249)):
            part = (part | (part << np.uint32(shift))) & np.uint32(mask)
        code |= part << np.uint32(axis)
    return code
