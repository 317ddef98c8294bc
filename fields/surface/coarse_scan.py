"""Scan a field on a coarse lattice before its surface is extracted: range, slope, area, suggested level."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fields.render.sphere_trace import CHUNK, in_chunks
from fields.surface.extract import STEEPNESS
from fields.surface.implicit import Implicit

# Samples along the longest side.
SAMPLES = 64
# Bins of the histogram from which a level is chosen.
BINS = 256


@dataclass(frozen=True)
class CoarseScan:
    """Statistics of an implicit function on a coarse lattice.

    lowest, highest: range of the values; NaN if no value is finite.
    steepness: largest slope, for `extract`.
    area: rough area of the surface, in squares of the implicit's unit.
    rate: points per second that the function evaluates.
    """

    lowest: float
    highest: float
    steepness: float
    area: float
    rate: float


@torch.no_grad()
def coarse_scan(implicit: Implicit, lower: ArrayLike, upper: ArrayLike, shift: float = 0.0) -> CoarseScan:
    """Scan the box between two corners `[3]`; `shift` is subtracted from the values."""
    values, spacing = sample_box(implicit.function, lower, upper, implicit.device)
    values = values - shift
    finite = values[np.isfinite(values)]
    lowest, highest = (float(finite.min()), float(finite.max())) if len(finite) else (float("nan"), float("nan"))
    slopes, crossings = [], []
    for axis, step in enumerate(spacing):
        a, b = np.take(values, range(values.shape[axis] - 1), axis), np.take(values, range(1, values.shape[axis]), axis)
        slopes.append(np.nanmax(np.abs(b - a), initial=0) / step)
        crossings.append(np.count_nonzero((a < 0) != (b < 0)) * float(np.prod(spacing)) / step)
    # Along each axis, edges of length h cross a surface of area A with normals in all directions A / (2 h^2) times.
    area = 2 / 3 * sum(crossings)
    steepness = max(STEEPNESS, 1.1 * float(max(slopes))) if implicit.type != "values" else STEEPNESS
    return CoarseScan(lowest, highest, steepness, area, _rate(implicit, lower, upper))


@torch.no_grad()
def sample_box(
    function: Callable[[Tensor], Tensor], lower: ArrayLike, upper: ArrayLike, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Values of a function of points at about 64 cell centers along the longest side of a box.

    Returns the values `[x, y, z]` float32 and the distances `[3]` between the centers.
    """
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    sides = upper - lower
    counts = np.maximum(np.ceil(SAMPLES * sides / sides.max()).astype(int), 4)
    axes = [torch.from_numpy(a + (b - a) * (np.arange(n) + 0.5) / n).float() for a, b, n in zip(lower, upper, counts)]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    values = in_chunks(lambda part: function(part.to(device)).cpu(), positions)
    return values.numpy().reshape(counts), sides / counts


def suggested_level(values: np.ndarray) -> float:
    """Threshold that minimizes the variance within the two classes it separates (Otsu 1979).

    NaN if all values are equal.
    """
    from skimage.filters import threshold_otsu

    values = values[np.isfinite(values)]
    return float(threshold_otsu(values, nbins=BINS)) if len(values) and values.min() < values.max() else float("nan")


def _rate(implicit: Implicit, lower: ArrayLike, upper: ArrayLike) -> float:
    """Points per second, timed on the second of two passes, as the first one allocates."""
    corner, sides = np.asarray(lower), np.asarray(upper) - np.asarray(lower)
    positions = torch.rand(CHUNK, 3, generator=torch.Generator().manual_seed(0))
    positions = (torch.tensor(corner) + positions * torch.tensor(sides)).float().to(implicit.device)
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        implicit.function(positions).sum().item()
        seconds = time.perf_counter() - begun
    return CHUNK / seconds
