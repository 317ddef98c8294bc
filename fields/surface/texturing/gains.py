"""Exposure of each photograph, from what several of them show of the same part of a surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.texturing.rows import PixelRows, weighted_mean

# sRGB values between which a pixel is neither noise nor clipped.
DARKEST = 8 / 255
BRIGHTEST = 250 / 255
# Rounds of robust reweighting, and the difference of log colors at which a part counts a half.
ROUNDS = 10
SCALE = 0.05
# Weight that holds the log gain of a photograph at 0, as a fraction of the mean weight of photographs: it decides only
# for those that show nothing that others show.
HOLD = 1e-3
# Rounds in which each photograph is compared with the mean of all, and pixels that are compared.
REFINEMENTS = 3
COMPARED_PIXELS = 300_000
# Deviation of the log gains that photographs of equal exposure seem to have, as a fraction of the deviation of parts
# within a photograph, after gains: each sees other highlights, and a sky that is reflected makes all of it brighter.
# 0.40 on a glossy cow and duck.
SEEMING = 0.5
# Deviation of the log gains, after that is taken off, from which on they are used.
LEAST_DEVIATION = 0.004
# Log ratio to which larger ones are cut when their spread is measured.
MAX_RATIO = 0.2
# Gain from which on clipped colors of a photograph are left out, since the others show them darker.
CLIPPING_GAIN = 1.02
# Factor on the weight of clipped pixels.
CLIPPED_WEIGHT = 1e-3


def level_exposures(
    rows: Sequence[PixelRows], parts: np.ndarray, num_views: int, progress: ProgressCallback = no_progress
) -> np.ndarray:
    """Divide the gains of photographs out of the colors of the rows, and return them, `[num_views, 3]`.

    parts: the part of the surface in which each unknown lies, `[U]`: whole numbers from 0.

    A gain is the factor by which the sRGB values of a photograph are above the geometric mean of all photographs. A
    first estimate compares mean colors of parts; then each photograph is compared with the mean of all, pixel by pixel,
    in each channel by the median. Gains are believed as far as they vary more than differences within photographs
    let expect (`SEEMING`): the log gains are shrunk by the variance that these explain (Efron and Morris 1973), which
    leaves none on glossy surfaces in equal exposures.
    """
    compared = _thinned(rows)
    progress(0.1)
    candidates = [np.zeros((num_views, 3)), part_gains(rows, parts, num_views)]
    ratios = []
    for gains in candidates:
        ratios.append(_ratios(rows, compared, gains))
        progress(0.1 + 0.2 * len(ratios))
    gains = candidates[int(np.argmin([_spread(compared, ratio) for ratio in ratios]))]
    for round_ in range(REFINEMENTS):
        gains = gains + _view_medians(compared, _ratios(rows, compared, gains), num_views)
        gains = gains - gains.mean(axis=0)
        progress(0.5 + 0.4 * (round_ + 1) / REFINEMENTS)
    seeming = SEEMING * _deviation_within(compared, _ratios(rows, compared, gains), parts, num_views)
    variance = float((gains**2).mean())
    believed = max(0.0, 1 - seeming**2 / max(variance, 1e-30))
    if believed * variance < LEAST_DEVIATION**2:
        return np.ones_like(gains)
    gains = believed * gains
    gains = np.exp(gains)
    for block in rows:
        clipped = (block.colors > BRIGHTEST).any(axis=1) & (gains[block.views].max(axis=1) > CLIPPING_GAIN)
        block.trust[clipped] *= CLIPPED_WEIGHT
        block.colors /= gains[block.views].astype(np.float32)
    return gains


def part_gains(rows: Sequence[PixelRows], parts: np.ndarray, num_views: int) -> np.ndarray:
    """Log gains `[num_views, 3]` of photographs from the mean colors of parts of the surface; their mean is 0.

    The log of a photograph's mean color of a part is the sum of the photograph's log gain and of the part's log color.
    Both are found by least squares with Cauchy weights; the colors of parts are eliminated.
    """
    num_parts = 1 + int(parts.max())
    weights = np.zeros((3, num_views, num_parts))
    logs = np.zeros_like(weights)
    for block in rows:
        first = block.matrix.indices[block.matrix.indptr[:-1]]
        cell = block.views * np.int64(num_parts) + parts[first]
        for channel in range(3):
            color = block.colors[:, channel]
            usable = (color > DARKEST) & (color < BRIGHTEST)
            # Errors of a log are larger in dark colors.
            weight = block.trust[usable] * color[usable]
            for total, value in ((weights, weight), (logs, weight * np.log(color[usable]))):
                total[channel] += np.bincount(cell[usable], value, num_views * num_parts).reshape(num_views, num_parts)
    return np.stack([_log_gains(w, value) for w, value in zip(weights, logs)], axis=1)


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


def _thinned(rows: Sequence[PixelRows]) -> list[PixelRows]:
    """Every so many-th row, about `COMPARED_PIXELS` in all."""
    stride = max(1, sum(map(len, rows)) // COMPARED_PIXELS)
    return [
        PixelRows(block.matrix[::stride], block.colors[::stride], block.trust[::stride], block.views[::stride])
        for block in rows
    ]


def _ratios(rows: Sequence[PixelRows], compared: Sequence[PixelRows], gains: np.ndarray) -> list[np.ndarray]:
    """Log ratios `[N, 3]` of the pixels of `compared`, after gains, to the mean of all rows; NaN where it is no use."""
    factors = np.exp(-gains).astype(np.float32)
    mean, _ = weighted_mean(rows, [factors[block.views] for block in rows])
    found = []
    for block in compared:
        wanted = block.predicted(mean)
        usable = (block.colors > DARKEST) & (block.colors < BRIGHTEST) & (wanted > DARKEST)
        ratio = np.log(np.where(usable, block.colors, 1) / np.where(usable, wanted, 1)) - gains[block.views]
        found.append(np.where(usable, ratio, np.nan))
    return found


def _spread(compared: Sequence[PixelRows], ratios: Sequence[np.ndarray]) -> float:
    """Weighted mean of the absolute ratios, of which each counts no more than `MAX_RATIO`."""
    size = np.concatenate([np.minimum(np.abs(np.nan_to_num(ratio)).mean(axis=1), MAX_RATIO) for ratio in ratios])
    trust = np.concatenate([block.trust for block in compared])
    return float((size * trust).sum() / max(float(trust.sum()), 1e-30))


def _deviation_within(
    compared: Sequence[PixelRows], ratios: Sequence[np.ndarray], parts: np.ndarray, num_views: int
) -> float:
    """Root mean square, over views and channels, of the deviation of the mean ratios of parts within a view."""
    num_parts = 1 + int(parts.max())
    first = np.concatenate([block.matrix.indices[block.matrix.indptr[:-1]] for block in compared])
    cell = np.concatenate([block.views for block in compared]) * np.int64(num_parts) + parts[first]
    trust = np.concatenate([block.trust for block in compared])
    ratio = np.concatenate(ratios)
    variances = []
    for channel in range(3):
        usable = np.isfinite(ratio[:, channel])
        weight, total = (
            np.bincount(cell[usable], value[usable], num_views * num_parts).reshape(num_views, num_parts)
            for value in (trust, trust * ratio[:, channel])
        )
        seen = weight.sum(axis=1) > 0
        share = weight[seen] / weight[seen].sum(axis=1, keepdims=True)
        mean = total[seen] / np.maximum(weight[seen], 1e-30)
        middle = (share * mean).sum(axis=1, keepdims=True)
        variances.append((share * (mean - middle) ** 2).sum(axis=1))
    return float(np.concatenate(variances).mean() ** 0.5)


def _view_medians(compared: Sequence[PixelRows], ratios: Sequence[np.ndarray], num_views: int) -> np.ndarray:
    """Weighted median of the ratios of each view and channel, `[num_views, 3]`; 0 for a view without."""
    views = np.concatenate([block.views for block in compared])
    trust = np.concatenate([block.trust for block in compared])
    ratio = np.concatenate(ratios)
    medians = np.zeros((num_views, 3))
    for channel in range(3):
        usable = np.flatnonzero(np.isfinite(ratio[:, channel]))
        order = usable[np.lexsort((ratio[usable, channel], views[usable]))]
        starts = np.searchsorted(views[order], np.arange(num_views + 1))
        for view, (start, stop) in enumerate(zip(starts, starts[1:])):
            if stop > start:
                total = np.cumsum(trust[order[start:stop]], dtype=np.float64)
                middle = order[start + np.searchsorted(total, total[-1] / 2)]
                medians[view, channel] = ratio[middle, channel]
    return medians
