"""FreSh: the frequency option of a method, chosen before training (Kania et al. 2025, "FreSh: Frequency Shifting for Accelerated Neural
Representation Learning").

The spectrum of an untrained network tells which frequencies it will learn quickly. So untrained networks are rendered for each candidate
value, and that one is taken whose spectrum is nearest to the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.init.spectrum import Kind, centroid, diagonal_spectrum, spectral_distance

BINS = 64
DRAWS = 5
# Targets whose mean frequency lies above this share of the bins are textures: their spectrum is nearly flat, and the nearest network is one
# that is too fast to be trained.
TEXTURE = 0.5


@dataclass(frozen=True)
class Choice:
    """What was chosen and why. `tried` has `(value, mean distance in bins, its standard error)` in rising order of value."""

    value: float
    nearest: float
    tried: list[tuple[float, float, float]]
    target: Tensor
    network: Tensor
    remark: str | None = None


def choose(
    target: Tensor,
    candidates: Sequence[float],
    render: Callable[[float, int, tuple[int, ...]], Tensor],
    *,
    half: Callable[[float], float] = lambda value: value / 2,
    bins: int = BINS,
    spectrum: Kind = "quadrant",
    exhaustive: bool = False,
) -> Choice | None:
    """The candidate (in rising order) whose untrained networks look most like `target` `[C, n, ..., n]`; None for a constant target.

    `render(value, seed, shape)` gives an untrained network's values `[C, *shape]` on the target's grid. The same seeds are used for every
    candidate. `bins` (fewer where there are fewer samples) are compared, of the kind `spectrum` (see `diagonal_spectrum`). The distance
    falls and rises once along the candidates (as it does in practice), so it is searched by sections of three; `exhaustive` tries all, as
    the authors do.

    Where the target is a texture (mean frequency above half the bins) or the nearest is the last candidate, the nearest would be too fast
    for the network to learn: the candidate next to `half(nearest)`, the value of half its frequency, is taken, and the remark says so.
    """
    bins = min(bins, min(target.shape[1:]) // 2 - 1)
    wanted = diagonal_spectrum(target, bins, spectrum)
    if not wanted.sum() > 1e-6 * target[0].numel():
        return None
    results: dict[int, tuple[float, float, Tensor]] = {}

    def distance(index: int) -> float:
        if index not in results:
            spectra = [
                diagonal_spectrum(render(candidates[index], seed, tuple(target.shape[1:])), bins, spectrum)
                for seed in range(DRAWS)
            ]
            each = torch.tensor([spectral_distance(wanted, found) for found in spectra], dtype=torch.float64)
            results[index] = float(each.mean()), float(each.std() / DRAWS**0.5), torch.stack(spectra).mean(0)
        return results[index][0]

    best = min(range(len(candidates)), key=distance) if exhaustive else _lowest(distance, len(candidates))
    nearest = candidates[best]
    remark = None
    if best == len(candidates) - 1 and len(candidates) > 1:
        remark = f"{nearest:g}, the last candidate, is the nearest"
    elif centroid(wanted) > TEXTURE * bins:
        remark = f"the target is a texture (mean frequency {centroid(wanted):.0f} of {bins} bins); the nearest is {nearest:g}"
    if remark:
        best = min(range(len(candidates)), key=lambda i: abs(candidates[i] - half(nearest)))
        remark += f", which is too fast to be trained: {candidates[best]:g}, about half its frequency, is taken"
        distance(best)
    tried = [(candidates[i], *results[i][:2]) for i in sorted(results)]
    return Choice(candidates[best], nearest, tried, wanted, results[best][2], remark)


def _lowest(distance: Callable[[int], float], count: int) -> int:
    """Where a sequence that falls, then rises, is lowest."""
    low, high = 0, count - 1
    while high - low > 2:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        if distance(left) <= distance(right):
            high = right - 1
        else:
            low = left + 1
    return min(range(low, high + 1), key=distance)
