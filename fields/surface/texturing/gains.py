"""Exposure of each photograph, from what several of them show of the same part of a surface."""

from __future__ import annotations

import numpy as np

from fields.surface.texturing.rows import PixelRows

# Parts of the surface that are compared: at most this many along each side of the texture.
PARTS = 64
# sRGB values between which a pixel is neither noise nor clipped.
DARKEST = 8 / 255
BRIGHTEST = 250 / 255
# Rounds of robust reweighting, and the difference of log colors at which a part counts a half.
ROUNDS = 10
SCALE = 0.05
# Weight that holds the log gain of a photograph at 0, as a fraction of the mean weight of photographs: it decides only
# for those that show nothing that others show.
HOLD = 1e-3
# Spread of the log gains below which photographs count as equally exposed.
LEAST_SPREAD = 0.005


def estimate_gains(rows: list[PixelRows], parts: list[np.ndarray], num_views: int) -> np.ndarray:
    """The factor by which each photograph is brighter than their geometric mean, `[num_views, 3]`; 1 if all are alike.

    parts: for each of the rows the part of the surface `[N]` that each pixel shows.

    The log of a photograph's mean color of a part is the sum of the photograph's log gain and of the part's log color.
    Both are found by least squares with Cauchy weights; the colors of parts are eliminated. Factors apply to sRGB
    values.
    """
    num_parts = 1 + max((int(part.max()) for part in parts if len(part)), default=0)
    weights = np.zeros((3, num_views, num_parts))
    logs = np.zeros_like(weights)
    for block, part in zip(rows, parts):
        cell = block.views * np.int64(num_parts) + part
        for channel in range(3):
            color = block.colors[:, channel]
            usable = (color > DARKEST) & (color < BRIGHTEST)
            # Errors of a log are larger in dark colors.
            weight = block.trust[usable] * color[usable]
            for total, value in ((weights, weight), (logs, weight * np.log(color[usable]))):
                total[channel] += np.bincount(cell[usable], value, num_views * num_parts).reshape(num_views, num_parts)
    gains = np.stack([_log_gains(w, value) for w, value in zip(weights, logs)], axis=1)
    if gains.std() < LEAST_SPREAD:
        return np.ones_like(gains)
    return np.exp(gains)


def texture_parts(block: PixelRows, texels: np.ndarray, size: int) -> np.ndarray:
    """The square of the texture in which each pixel lies, `[N]` int64. texels: flat indices of the unknowns `[U]`."""
    first = texels[block.matrix.indices[block.matrix.indptr[:-1]]]
    row, column = np.divmod(first, size)
    side = -(-size // PARTS)
    return (row // side) * PARTS + column // side


def _log_gains(weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Log gains `[V]` of one channel, for sums of weights and of weighted logs `[V, P]`; their mean is 0."""
    seen = weights > 0
    value = logs / np.where(seen, weights, 1)
    several = seen.sum(axis=0) > 1
    weights, value = weights[:, several], value[:, several]
    seen_views = weights.sum(axis=1) > 0
    gains = np.zeros(len(weights))
    if not several.any():
        return gains
    robust = weights
    for _ in range(ROUNDS):
        total = np.maximum(robust.sum(axis=0), 1e-30)
        mean = (robust * value).sum(axis=0) / total
        by_view = robust.sum(axis=1)
        matrix = np.diag(by_view + HOLD * by_view.mean()) - (robust / total) @ robust.T
        gains = np.linalg.solve(matrix, (robust * (value - mean)).sum(axis=1))
        gains[seen_views] -= gains[seen_views].mean()
        color = (robust * (value - gains[:, None])).sum(axis=0) / total
        residual = value - gains[:, None] - color
        robust = weights / (1 + (residual / SCALE) ** 2)
    return gains
