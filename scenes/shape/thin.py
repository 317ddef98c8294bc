"""Thin clouds evenly: one point in each cell of a grid."""

from __future__ import annotations

import numpy as np

# Cells along the longest side to begin with.
FINEST = 1 << 13
# Points that are looked at, as a multiple of those that are wanted; of more, random ones.
MOST = 8
# How much larger cells become than the number of points asks for, so that few rounds are needed.
MARGIN = 1.03


def thinned(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the points `[n, 3]`, in their order: about as many as can lie evenly apart.

    Dense parts are thinned first. Where points share cells of 1/8192 of the longest side, random ones are left out.
    """
    generator = np.random.Generator(np.random.Philox(key=[3, 0]))
    # The first point of a cell is kept, and in a file neighbours follow each other.
    chosen = generator.choice(len(points), min(MOST * count, len(points)), replace=False)
    some = points[chosen]
    lower = some.min(axis=0)
    cell = float((some.max(axis=0) - lower).max()) / FINEST
    while len(chosen) > count:
        index = ((points[chosen] - lower) / cell).astype(np.int64)
        keys = (index[:, 0] << 42) | (index[:, 1] << 21) | index[:, 2]
        _, first = np.unique(keys, return_index=True)
        if len(first) < count // 2:
            # Nearly all points lie in a few places.
            return np.sort(chosen[:count])
        chosen = chosen[np.sort(first)]
        # The points lie on surfaces, so their number goes with the square of the cell.
        cell *= max(np.sqrt(len(chosen) / count), 1.0) * MARGIN
    return np.sort(chosen)
