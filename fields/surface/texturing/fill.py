"""Colors for the texels of an image that have none, from the nearest that have."""

from __future__ import annotations

import numpy as np


def pull_push(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill the unknown pixels of an image smoothly (Gortler et al. 1996, section 5.2, the pull-push algorithm).

    image: `[H, W, C]` float32; known: `[H, W]` bool. Known pixels keep their values.

    Half-size images are averaged from what is known, down to one pixel; then each level's unknown pixels are
    interpolated from the next coarser level. An image in which nothing is known stays as it is.
    """
    if known.all() or not known.any() or max(known.shape) == 1:
        return image
    height, width = known.shape
    odd = (0, height % 2), (0, width % 2)
    shape = (height + 1) // 2, 2, (width + 1) // 2, 2
    weight = np.pad(known, odd).astype(np.float32).reshape(shape)
    total = weight.sum(axis=(1, 3))
    masked = np.pad(np.where(known[..., None], image, 0), (*odd, (0, 0)))
    mean = masked.reshape(*shape, -1).sum(axis=(1, 3)) / np.maximum(total, 1)[..., None]
    coarse = pull_push(mean, total > 0)
    return np.where(known[..., None], image, _doubled(coarse)[:height, :width])


def _doubled(image: np.ndarray) -> np.ndarray:
    """An image `[H, W, C]` of twice the size, bilinearly interpolated."""
    for axis in (0, 1):
        ahead = np.concatenate([np.take(image, range(1, image.shape[axis]), axis), np.take(image, [-1], axis)], axis)
        behind = np.concatenate([np.take(image, [0], axis), np.take(image, range(image.shape[axis] - 1), axis)], axis)
        pairs = np.stack([0.75 * image + 0.25 * behind, 0.75 * image + 0.25 * ahead], axis=axis + 1)
        shape = list(image.shape)
        shape[axis] *= 2
        image = pairs.reshape(shape)
    return image
