"""`--init fresh`: a method's frequency option from the signal's spectrum, and the picture of both spectra."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from fields.init.fresh import BINS, Choice, choose
from fields.init.spectrum import SpectrumKind
from fields.methods.base import Method
from fields.methods.registry import method_class, method_names
from scenes.errors import BadInput
from scenes.signal import Signal

# Samples an axis at most: four times the bins in the plane. Smaller signals are taken as they are, with fewer bins. A sound is all fast, so
# a quarter of its samples are bins.
SIDES = {1: 1 << 15, 2: 256, 3: 132}
MIN_SIDE = 16


def apply_fresh(
    method: Method, signal: Signal, *, spectrum: SpectrumKind = "quadrant", exhaustive: bool = False
) -> tuple[Method, dict, Choice | None]:
    """The (prepared) method with its frequency option chosen by FreSh, what `run.json` keeps of that, and the choice itself.

    The choice is None for a constant signal, whose spectrum says nothing. BadInput for methods without such an option or values to choose
    among, and for signals without a regular grid of one to three axes.
    """
    option = method.frequency_option
    if option is None:
        others = [name for name in method_names() if method_class(name).frequency_option]
        raise BadInput(f"--init fresh: {method.name} has no frequency to choose; these have: {', '.join(others)}")
    dimensions = signal.domain.dimensions
    if dimensions not in SIDES:
        raise BadInput(f"--init fresh takes signals of 1 to 3 dimensions; this {signal.kind} has {dimensions}")
    begun = time.perf_counter()
    side = min(SIDES[dimensions], *(samples or SIDES[dimensions] for samples in signal.domain.shape))
    if side < MIN_SIDE:
        raise BadInput(f"--init fresh: {side} samples along an axis are too few for a spectrum; it wants {MIN_SIDE}")
    bins = max(BINS, side // 4) if dimensions == 1 else BINS
    candidates = method.frequency_candidates(bins / BINS)
    if not candidates:
        raise BadInput(f"--init fresh: with these options {method.name} has no {option} to choose")
    target = torch.from_numpy(signal.on_grid(side))
    default = getattr(method, option)

    def with_value(value: float) -> Method:
        return method.model_copy(update={option: type(default)(value)})

    @torch.no_grad()
    def render(value: float, seed: int, shape: tuple[int, ...]) -> Tensor:
        field = with_value(value).build(signal.domain, signal.channels, seed)
        axes = [(torch.arange(n) + 0.5) / n for n in reversed(shape)]  # x first; it is the last axis of the target
        coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, dimensions)
        values = torch.cat([field(part) for part in coords.split(1 << 16)])
        return values.reshape(*reversed(shape), -1).permute(*reversed(range(dimensions + 1)))

    choice = choose(
        target, candidates, render, half=method.half_frequency, bins=bins, spectrum=spectrum, exhaustive=exhaustive
    )
    if choice is None:
        return (
            method,
            {
                "name": "fresh",
                "option": option,
                "value": default,
                "remark": "the signal is constant: the default stays",
            },
            None,
        )
    chosen = with_value(choice.value)
    report = {
        "name": "fresh",
        "option": option,
        "value": getattr(chosen, option),
        "default": default,
        "nearest": choice.nearest,
        "tried": [[value, round(distance, 4), round(error, 4)] for value, distance, error in choice.tried],
        "remark": choice.remark,
        "seconds": round(time.perf_counter() - begun, 3),
    }
    return chosen, report, choice


def save_spectra(choice: Choice, option: str, path: Path) -> None:
    """A PNG: the target's spectrum beside the chosen untrained network's, and the distances of all that were tried."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scenes.io.atomic import atomic_write

    figure = Figure((9, 3.4), layout="constrained")
    spectra, distances = figure.subplots(1, 2)
    bins = range(1, len(choice.target) + 1)
    spectra.plot(bins, choice.target / choice.target.sum(), label="target", color="#2f4858")
    spectra.plot(
        bins,
        choice.network / choice.network.sum(),
        label=f"untrained network, {option} {choice.value:g}",
        color="#e07a3f",
    )
    spectra.set(xlabel="cycles across the signal", ylabel="share of magnitude")
    spectra.legend(frameon=False)
    values, means, errors = zip(*choice.tried)
    distances.errorbar(values, means, errors, marker="o", color="#2f4858")
    distances.axvline(choice.value, color="#e07a3f", linestyle="--")
    distances.set(xlabel=option, ylabel="distance of the spectra, bins")
    for axes in (spectra, distances):
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
