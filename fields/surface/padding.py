"""Fill the texels of a texture that belong to no chart, so that no mip level mixes in anything else."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

# Texels around charts that take the mean of their known neighbours: so far does a bilinear lookup at mip level 2 reach
# out of a chart. Pull-push alone mixes in other charts there.
RIM = 5


def fill_unused(texture: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Fill every texel outside of `covered` from the covered ones around it: a rim of `RIM` texels, then pull-push.

    texture: `[H, W, C]` uint8 or float, or `[H, W]`; covered: `[H, W]` bool. Returns a new array of the texture's
    dtype, in which covered texels are unchanged. Without any covered texel the texture is returned as it is.

    Pull: each level halves the last, averaging what is known in each two by two texels. Push: from the coarsest level
    back, unknown texels take the bilinear value of the next coarser level (Gortler et al. 1996, section 3.4).
    """
    if not covered.any() or covered.all():
        return texture.copy()
    values = texture.reshape(*covered.shape, -1).astype(np.float32)
    values, known = _with_rim(np.where(covered[..., None], values, 0), covered)
    filled = _fill(values, known).reshape(texture.shape)
    if np.issubdtype(texture.dtype, np.integer):
        limits = np.iinfo(texture.dtype)
        filled = np.clip(np.rint(filled), limits.min, limits.max)
    result = filled.astype(texture.dtype)
    result[covered] = texture[covered]
    return result


def _with_rim(values: np.ndarray, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values `[H, W, C]` and which are known, `[H, W]` float32, after the covered texels grew by `RIM` texels."""
    known = covered.astype(np.float32)
    for _ in range(RIM):
        near = uniform_filter(known, 3, mode="constant")
        fresh = (known == 0) & (near > 0.05)
        if not fresh.any():
            break
        for channel in range(values.shape[2]):
            mean = uniform_filter(values[..., channel], 3, mode="constant")
            values[fresh, channel] = mean[fresh] / near[fresh]
        known[fresh] = 1
    return values, known


def _fill(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The values `[H, W, C]` where the weight `[H, W]` is 1, mixed with coarser levels' where it is less."""
    height, width = weight.shape
    if weight.min() >= 1 or height == width == 1:
        return values
    even = ((0, height % 2), (0, width % 2))
    padded = np.pad(weight, even)
    total = _sum_of_four(padded)
    known = _sum_of_four(np.pad(values * weight[..., None], (*even, (0, 0))))
    coarse = known / np.maximum(total, 1e-12)[..., None]
    # One known texel of four is enough for a level: the next fills only what none is near to.
    coarse = _fill(coarse, np.minimum(total, 1.0))
    finer = _doubled(_doubled(coarse, 0), 1)[:height, :width]
    return values * weight[..., None] + finer * (1 - weight[..., None])


def _sum_of_four(values: np.ndarray) -> np.ndarray:
    return values[0::2, 0::2] + values[1::2, 0::2] + values[0::2, 1::2] + values[1::2, 1::2]


def _doubled(values: np.ndarray, axis: int) -> np.ndarray:
    """Twice as many values along an axis, linearly interpolated at the centers of the finer texels."""
    values = np.moveaxis(values, axis, 0)
    before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    result = np.empty((2 * len(values), *values.shape[1:]), values.dtype)
    result[0::2], result[1::2] = 0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after
    return np.moveaxis(result, 0, axis)
