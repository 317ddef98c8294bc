"""FreSh for a method and a signal: choose the method's frequency option from the spectrum, and draw the spectra."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from fields.init.fresh import BINS, Choice, choose
from fields.init.spectrum import SpectrumKind
from fields.methods.base import Method
from fields.methods.registry import method_class, method_names
from scenes.errors import BadInput
from scenes.signal import Signal

# Samples along an axis, at most, by number of axes. In the plane they are four times the bins; smaller signals are used
# as they are, with fewer bins. Audio is full of high frequencies, so that a quarter of its samples are bins.
SIDES = {1: 1 << 15, 2: 256, 3: 132}
# Samples along an axis, at least.
MIN_SIDE = 16
# Points of an untrained network that are evaluated at once.
CHUNK = 1 << 16
# Colors of the target and of the network in the image of the spectra.
TARGET_COLOR = "#2f4858"
NETWORK_COLOR = "#e07a3f"


def apply_fresh(
    method: Method,
    signal: Signal,
    *,
    spectrum: SpectrumKind = "quadrant",
    exhaustive: bool = False,
    tried: Callable[[int], None] = lambda count: None,
) -> tuple[Method, dict, Choice | None]:
    """Choose the frequency option of a prepared method by FreSh.

    Returns the method with the option chosen, what the run's header keeps of the choice, and the choice itself, None
    for a constant signal, whose spectrum tells nothing. `exhaustive`: render all candidates instead of searching.
    `tried`: called with the number of networks that were rendered, before each one more.
    Raises BadInput for methods without such an option or without values to choose from, and for signals without a
    regular grid of one to three axes.
    """
    option = method.frequency_option
    if option is None:
        others = [name for name in method_names() if method_class(name).frequency_option]
        raise BadInput(f"`init=fresh`: {method.name} has no frequency to choose; these have: {', '.join(others)}")
    dimensions = signal.domain.dimensions
    if dimensions not in SIDES:
        raise BadInput(f"`init=fresh` takes signals of 1 to 3 dimensions; this {signal.kind} has {dimensions}")
    begun = time.perf_counter()
    side = min(SIDES[dimensions], *(samples or SIDES[dimensions] for samples in signal.domain.shape))
    if side < MIN_SIDE:
        raise BadInput(f"`init=fresh`: {side} samples along an axis are too few for a spectrum; it needs {MIN_SIDE}")
    bins = max(BINS, side // 4) if dimensions == 1 else BINS
    candidates = method.frequency_candidates(bins / BINS)
    if not candidates:
        raise BadInput(f"`init=fresh`: with these options {method.name} has no {option} to choose")
    target = torch.from_numpy(signal.on_grid(side))
    default = getattr(method, option)

    def with_value(value: float) -> Method:
        return method.model_copy(update={option: type(default)(value)})

    rendered = count()

    @torch.no_grad()
    def render(value: float, seed: int, shape: tuple[int, ...]) -> Tensor:
        tried(next(rendered))
        field = with_value(value).build(signal.domain, signal.channels, seed)
        # Coordinates have x first, which is the last axis of the target.
        axes = [(torch.arange(n) + 0.5) / n for n in reversed(shape)]
        coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, dimensions)
        values = torch.cat([field(part) for part in coords.split(CHUNK)])
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
    """Write a PNG of the spectra of the target and of the chosen untrained network, and of all distances.

    `option`: name of the frequency option.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scenes.io.atomic import atomic_write

    figure = Figure((9, 3.4), layout="constrained")
    spectra, distances = figure.subplots(1, 2)
    bins = range(1, len(choice.target) + 1)
    spectra.plot(bins, choice.target / choice.target.sum(), label="target", color=TARGET_COLOR)
    spectra.plot(
        bins,
        choice.network / choice.network.sum(),
        label=f"untrained network, {option} {choice.value:g}",
        color=NETWORK_COLOR,
    )
    spectra.set(xlabel="cycles across the signal", ylabel="fraction of magnitude")
    spectra.legend(frameon=False)
    values, means, errors = zip(*choice.tried)
    distances.errorbar(values, means, errors, marker="o", color=TARGET_COLOR)
    distances.axvline(choice.value, color=NETWORK_COLOR, linestyle="--")
    distances.set(xlabel=option, ylabel="distance of the spectra, bins")
    for axes in (spectra, distances):
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
