"""Fill holes in an image with a smooth guess from their surroundings."""

from __future__ import annotations

import numpy as np


def fill_holes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Replace unknown pixels by a smooth interpolation of the known ones.

    Pull-push (Gortler et al. 1996, "The Lumigraph", section 3.5): known values are averaged over blocks of twice the
    side again and again, then the gaps of each level are filled by interpolating the level above.

    Args:
        values: `[H, W, C]` float32.
        known: bool `[H, W]`.

    Returns:
        A new array `[H, W, C]` float32 that keeps the known pixels. 0 where nothing is known.
    """
    weight = known[..., None].astype(np.float32)
    return _fill(np.where(known[..., None], values, np.float32(0)), weight)


def _fill(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill one level. `values` are averages, 0 where `weight` (`[H, W, 1]`, at most 1) is 0."""
    if weight.min() >= 1 or weight.size == 1:
        return values
    total = _sum_blocks(weight)
    above = _sum_blocks(values * weight) / np.maximum(total, np.float32(1e-12))
    above = _fill(above, np.minimum(total, 1))
    return values * weight + (1 - weight) * _enlarge(_enlarge(above, 0), 1)[: values.shape[0], : values.shape[1]]


def _sum_blocks(image: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 x 2 pixels; blocks at an odd edge are smaller."""
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], 2), axis=0)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], 2), axis=1)


def _enlarge(image: np.ndarray, axis: int) -> np.ndarray:
    """Double the length along an axis, interpolating linearly between pixel centres."""
    edge = [(1, 1) if a == axis else (0, 0) for a in range(3)]
    padded = np.moveaxis(np.pad(image, edge, mode="edge"), axis, 0)
    here = padded[1:-1] * np.float32(0.75)
    result = np.empty((2 * len(here), *here.shape[1:]), np.float32)
    result[0::2] = here + padded[:-2] * np.float32(0.25)
    result[1::2] = here + padded[2:] * np.float32(0.25)
    return np.moveaxis(result, 0, axis)
