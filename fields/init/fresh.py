"""Choice of a method's frequency option before training: FreSh.

Kania et al. 2025, "FreSh: Frequency Shifting for Accelerated Neural Representation Learning". The spectrum of an
untrained network shows which frequencies it will learn quickly. Untrained networks are rendered for each candidate
value, and the value is chosen whose spectrum is nearest to the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.init.spectrum import SpectrumKind, centroid, diagonal_spectrum, spectral_distance

# Bins of the spectra, as in the paper.
BINS = 64
# Untrained networks rendered for each candidate.
DRAWS = 5
# Fraction of the bins above which a target's mean frequency makes it a texture. The spectrum of a texture is nearly
# flat, and the nearest network has frequencies that are too high to be trained.
TEXTURE_CENTROID = 0.5


@dataclass(frozen=True)
class Choice:
    """The chosen value, and what it was chosen from.

    Attributes:
        value: the chosen value.
        nearest: the candidate whose spectrum is nearest, which differs from `value` where that could not be trained.
        tried: (value, mean distance in bins, standard error of that mean), in rising order of the values.
        target: spectrum `[bins]` of the target.
        network: mean spectrum `[bins]` of the untrained networks with the chosen value.
        remark: why `value` is not `nearest`, for the user; None where it is.
    """

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
    spectrum: SpectrumKind = "quadrant",
    exhaustive: bool = False,
) -> Choice | None:
    """The candidate whose untrained networks look most like the target; None for a constant target.

    Args:
        target: values `[C, n, ..., n]`.
        candidates: values to choose from, rising.
        render: `render(value, seed, shape)` gives the values `[C, *shape]` of an untrained network on the target's
            grid. Every candidate is rendered with the same seeds.
        half: the value that has half the frequency of another one.
        bins: bins to compare; fewer are used where the target has too few samples.
        spectrum: see `diagonal_spectrum`.
        exhaustive: try all candidates, as the authors do. Otherwise they are searched by sections of three, because in
            practice the distance falls and then rises along the candidates.

    Where the target is a texture, or the nearest candidate is the last one, networks with the nearest value have
    frequencies that are too high to be trained. Then the candidate next to `half(nearest)` is chosen, and `remark`
    says so.
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
    elif centroid(wanted) > TEXTURE_CENTROID * bins:
        mean = f"{centroid(wanted):.0f} of {bins} bins"
        remark = f"the target is a texture (mean frequency {mean}); the nearest is {nearest:g}"
    if remark:
        best = min(range(len(candidates)), key=lambda i: abs(candidates[i] - half(nearest)))
        remark += f", which is too fast to be trained: {candidates[best]:g}, about half its frequency, is taken"
        distance(best)
    tried = [(candidates[i], *results[i][:2]) for i in sorted(results)]
    return Choice(candidates[best], nearest, tried, wanted, results[best][2], remark)


def _lowest(distance: Callable[[int], float], count: int) -> int:
    """Index of the minimum of a sequence of `count` values that falls and then rises."""
    low, high = 0, count - 1
    while high - low > 2:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        if distance(left) <= distance(right):
            high = right - 1
        else:
            low = left + 1
    return min(range(low, high + 1), key=distance)
