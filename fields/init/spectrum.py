"""Spectrum of a signal, and the distance between two spectra (FreSh, Kania et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from scenes.errors import BadInput

if TYPE_CHECKING:
    from scenes.signal import Signal

# Fewest samples along an axis of which a mean frequency is told.
MIN_SIDE = 16

SpectrumKind = Literal["quadrant", "half_l1"]


def diagonal_spectrum(values: Tensor, bins: int, kind: SpectrumKind = "quadrant") -> Tensor:
    """Magnitude of the Fourier transform in each of `bins` diagonal bins.

    `values` `[C, n, ..., n]` → `[bins]` float64, with n at least 2 bins + 2. Bin q = 1 .. bins holds the frequencies
    whose indices add up to q, summed over the channels: q cycles across the signal. The mean is left out, because a
    bias fits it at once.

    `kind` "quadrant" has the frequencies whose indices are all in 0 .. bins, which is what the authors' cropped
    spectrum comes to; of two mirrored slants it sees one. "half_l1" has the frequencies of either sign, adds their
    absolute indices, and counts each direction once.

    ValueError where an axis has too few samples.
    """
    dimensions = values.ndim - 1
    if min(values.shape[1:]) < 2 * bins + 2:
        raise ValueError(f"{bins} bins need at least {2 * bins + 2} samples an axis, not {list(values.shape[1:])}")
    axes = tuple(range(1, dimensions + 1))
    values = values.to(torch.float32)
    magnitude = torch.fft.fftn(values - values.mean(dim=axes, keepdim=True), dim=axes).abs().sum(dim=0).double()
    along = torch.arange(0 if kind == "quadrant" else -bins, bins + 1)
    index = torch.zeros((), dtype=torch.int64)
    for axis in range(dimensions):
        magnitude = magnitude.index_select(axis, along % values.shape[1 + axis])
        index = index + along.abs().reshape([-1 if a == axis else 1 for a in range(dimensions)])
    total = torch.zeros(dimensions * bins + 1, dtype=torch.float64)
    total.index_add_(0, index.flatten(), magnitude.flatten())
    # The frequencies k and -k are one direction and have the same magnitude.
    return total[1 : bins + 1] / (1 if kind == "quadrant" else 2)


def spectral_distance(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance, in bins, of two spectra `[bins]`, each taken as a distribution.

    Infinite where a spectrum is zero everywhere or not finite.
    """
    if not (a.sum() > 0 and b.sum() > 0 and a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return float((torch.cumsum(a / a.sum(), 0) - torch.cumsum(b / b.sum(), 0)).abs().sum())


def centroid(spectrum: Tensor) -> float:
    """Mean frequency of a spectrum `[bins]`, in bins; white noise in the plane has two thirds of the bins."""
    return float((spectrum / spectrum.sum() * torch.arange(1, len(spectrum) + 1)).sum())


def mean_frequency(signal: Signal, side: int, dimensions: int | None = None) -> float | None:
    """Mean frequency of a signal's spectrum, in cycles across it, the indices of all axes added.

    side: samples along an axis at most; a quarter of them are bins.
    dimensions: number of axes that count, the first ones. Default: all.

    0 for a constant. None for scattered samples, and where an axis has fewer than 16.
    """
    side = min(side, *(samples or 0 for samples in signal.domain.shape[:dimensions]))
    if side < MIN_SIDE:
        return None
    try:
        values = torch.from_numpy(signal.on_grid(side))
    except BadInput:
        # Scattered samples.
        return None
    spectrum = diagonal_spectrum(values, side // 4)
    return centroid(spectrum) if spectrum.sum() > 1e-6 * values[0].numel() else 0.0
