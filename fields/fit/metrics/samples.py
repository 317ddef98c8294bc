"""Metrics of images, video frames and audio, with the same keys everywhere.

Images are `[H, W, C]` float32 arrays. PSNR and SSIM are of color channels in [0, 1] after clipping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from scenes.domain import Channels
from scenes.image.color import tone_map

# Exponents of the five scales of MS-SSIM: Wang, Simoncelli and Bovik 2003, section 4.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Shortest side of an image for MS-SSIM, in pixels: its coarsest scale still holds a window.
MS_SSIM_SHORT_SIDE = 161
# Side and standard deviation of the Gaussian window of SSIM, in pixels.
WINDOW = 11
SIGMA = 1.5
# Constants of SSIM, the squares of K1 and K2 for a range of 1: Wang et al. 2004, section III.C.
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
# Rows of pixels that are processed at once.
STRIP_ROWS = 64
# Lengths of the windows of the spectral errors, in samples.
SPECTRAL_WINDOWS = (512, 1024, 2048)
# Smallest mean squared error, and error by power, that is told: 120 dB, as JSON has no infinity.
MIN_ERROR = 1e-12
# Level below the loudest one at which the logarithmic spectral error takes levels to be equal: -80 dB, as amplitude.
QUIET = 1e-4


def psnr(prediction: np.ndarray, target: np.ndarray) -> float:
    """-10 log10 of the mean squared error of values clipped to [0, 1], in dB; 120 where they are equal.

    Computed in strips of rows, with sums in float64, so that no temporary array is as large as the image.
    """
    total = 0.0
    for rows in _strips(len(target)):
        difference = np.clip(prediction[rows], 0, 1) - np.clip(target[rows], 0, 1)
        total += float(np.square(difference, dtype=np.float64).sum())
    return -10.0 * math.log10(max(total / target.size, MIN_ERROR))


def relative_l2(prediction: np.ndarray, target: np.ndarray) -> float:
    """Mean of `(p - t)^2 / (p^2 + 0.01)`: the error of linear (HDR) values."""
    total = 0.0
    for rows in _strips(len(target)):
        p, t = prediction[rows].astype(np.float64), target[rows].astype(np.float64)
        total += float(((p - t) ** 2 / (p**2 + 0.01)).sum())
    return total / target.size


def ssim(prediction: np.ndarray, target: np.ndarray) -> float | None:
    """Mean structural similarity (Wang et al. 2004) over the 11-pixel Gaussian windows of sigma 1.5 that lie inside.

    None for an image smaller than a window.
    """
    if min(target.shape[:2]) < WINDOW:
        return None
    return _similarity(_to_torch(prediction), _to_torch(target))[0].mean().item()


def ms_ssim(prediction: np.ndarray, target: np.ndarray) -> float | None:
    """Multi-scale structural similarity over five scales; None where the short side is below 161 pixels."""
    if min(target.shape[:2]) < MS_SSIM_SHORT_SIDE:
        return None
    p, t = _to_torch(prediction), _to_torch(target)
    product = torch.ones(p.shape[0], dtype=torch.float64)
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        similarity, contrast = _similarity(p, t)
        factor = similarity if scale == len(MS_SSIM_WEIGHTS) - 1 else contrast
        product *= factor.clamp(min=0) ** weight
        p, t = _halved(p), _halved(t)
    return product.mean().item()


def image_metrics(prediction: np.ndarray, target: np.ndarray, channels: Channels) -> dict[str, float]:
    """All metrics of an image `[H, W, C]`: `psnr`, `ssim` and `ms_ssim` of color, and `psnr_alpha` of alpha.

    Linear (HDR) color is compared after `tone_map`, and by `relative_l2` without it.
    """
    colors = len(channels) - ("alpha" in channels.names)
    p, t = prediction[..., :colors], target[..., :colors]
    scores = {}
    if channels.space == "linear":
        scores["relative_l2"] = relative_l2(p, t)
        p, t = tone_map(p), tone_map(t)
    scores = {"psnr": psnr(p, t), "ssim": ssim(p, t), "ms_ssim": ms_ssim(p, t), **scores}
    if colors < len(channels):
        scores["psnr_alpha"] = psnr(prediction[..., colors:], target[..., colors:])
    return {name: value for name, value in scores.items() if value is not None}


def snr(prediction: np.ndarray, target: np.ndarray) -> float:
    """Signal-to-noise ratio `10 log10(sum t^2 / sum (p - t)^2)` in dB over all channels, at most 120."""
    power = float(np.square(target, dtype=np.float64).sum())
    error = float(np.square(prediction.astype(np.float64) - target).sum())
    return 10.0 * math.log10(power / max(error, power * MIN_ERROR)) if power else -120.0


def audio_metrics(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """All metrics of audio `[N, C]`: `snr`, and two errors of its spectra, with windows of 512, 1024 and 2048 samples.

    `spectral_error` is the mean of `|| |P| - |T| || / || |T| ||` (spectral convergence; Arik et al. 2018, and over
    several windows Yamamoto et al. 2020); loud parts dominate it. `log_spectral_error` is the mean difference of levels
    in dB, which quiet parts contribute to as well; levels more than 80 dB below the loudest count as equal to that.
    Windows longer than the audio are not used.
    """
    scores = {"snr": snr(prediction, target)}
    relative, levels = [], []
    for window in SPECTRAL_WINDOWS:
        if window > len(target):
            continue
        p, t = spectra(prediction, window), spectra(target, window)
        loudest = t.max()
        if loudest == 0:
            continue
        relative.append(float((p - t).norm() / t.norm()))
        floor = loudest * QUIET
        levels.append(float((20 * (p.clamp(min=floor) / t.clamp(min=floor)).log10()).abs().mean()))
    if relative:
        scores["spectral_error"] = sum(relative) / len(relative)
        scores["log_spectral_error"] = sum(levels) / len(levels)
    return scores


def spectra(audio: np.ndarray, window: int) -> torch.Tensor:
    """Magnitudes `[C, window / 2 + 1, frames]` of the short-time Fourier transform of audio `[N, C]`.

    With Hann windows, a quarter of a window apart.
    """
    return torch.stft(
        torch.from_numpy(np.ascontiguousarray(audio.T, np.float32)),
        window,
        window // 4,
        window=torch.hann_window(window),
        center=False,
        return_complex=True,
    ).abs()


def _strips(rows: int) -> Iterator[slice]:
    for top in range(0, rows, STRIP_ROWS):
        yield slice(top, min(top + STRIP_ROWS, rows))


def _to_torch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _similarity(p: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the similarity of each channel `[C]` and of its contrast-structure factor, in float64."""
    similarity = torch.zeros(p.shape[0], dtype=torch.float64)
    contrast = similarity.clone()
    windows = p.shape[1] - WINDOW + 1
    for strip in _strips(windows):
        rows = slice(strip.start, strip.stop + WINDOW - 1)
        a, b = _similarity_maps(p[:, rows].clamp(0, 1), t[:, rows].clamp(0, 1))
        similarity += a.sum((1, 2), dtype=torch.float64)
        contrast += b.sum((1, 2), dtype=torch.float64)
    count = windows * (p.shape[2] - WINDOW + 1)
    return similarity / count, contrast / count


def _similarity_maps(p: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Equation 13 of Wang et al. 2004, and its second factor, for every window inside `[C, H, W]`."""
    mean_p, mean_t, square_p, square_t, product = _blur(torch.cat([p, t, p * p, t * t, p * t])).chunk(5)
    contrast = (2 * (product - mean_p * mean_t) + SSIM_C2) / (square_p - mean_p**2 + square_t - mean_t**2 + SSIM_C2)
    return contrast * (2 * mean_p * mean_t + SSIM_C1) / (mean_p**2 + mean_t**2 + SSIM_C1), contrast


def _halved(image: torch.Tensor) -> torch.Tensor:
    """Means over 2 x 2 of the clipped values, `[C, H, W]` → `[C, H // 2, W // 2]`; in strips of rows."""
    strips = _strips(image.shape[1] // 2 * 2)
    return torch.cat([F.avg_pool2d(image[:, rows].clamp(0, 1), 2) for rows in strips], dim=1)


def _blur(maps: torch.Tensor) -> torch.Tensor:
    """Mean of `[M, H, W]` weighted by the Gaussian window, at every window inside.

    By sums of shifted copies, which are ten times as fast as conv2d here.
    """
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).tolist()
    for axis in (1, 2):
        length = maps.shape[axis] - WINDOW + 1
        blurred = maps.narrow(axis, 0, length) * kernel[0]
        for shift in range(1, WINDOW):
            blurred.add_(maps.narrow(axis, shift, length), alpha=kernel[shift])
        maps = blurred
    return maps
