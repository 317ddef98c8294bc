"""How much of a signal lies at which frequency, and how far two such spectra are apart (FreSh, Kania et al. 2025)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["quadrant", "half_l1"]


def diagonal_spectrum(values: Tensor, bins: int, kind: Kind = "quadrant") -> Tensor:
    """Magnitudes of the Fourier transform of `values` `[C, n, ..., n]`, summed over channels and over the frequencies whose indices
    add up to q = 1..bins (the mean is left out, as a bias fits it at once) → `[bins]` float64.

    A quadrant has the frequencies whose indices are all in 0..bins, which is what the authors' cropped spectrum comes to: of
    two mirrored slants it sees one. `half_l1` has those of either sign (their absolute indices are added), each direction once.
    n must be at least 2 bins + 2. Bin q is q cycles across the signal.
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
    # (k and -k are one direction, whose magnitudes are the same)
    return total[1 : bins + 1] / (1 if kind == "quadrant" else 2)


def spectral_distance(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance, in bins, of two spectra `[bins]`, each taken as a distribution; infinite where one is flat zero or not finite."""
    if not (a.sum() > 0 and b.sum() > 0 and a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return float((torch.cumsum(a / a.sum(), 0) - torch.cumsum(b / b.sum(), 0)).abs().sum())


def centroid(spectrum: Tensor) -> float:
    """The mean frequency of a spectrum `[bins]`, in bins; two thirds of the bins for white noise in the plane."""
    return float((spectrum / spectrum.sum() * torch.arange(1, len(spectrum) + 1)).sum())
