"""Spectra of a run's target and fit, beside the one that FreSh would choose for its method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields.fit.fit import reopen
from fields.fit.fresh import SIDES, apply_fresh
from fields.init.spectrum import diagonal_spectrum
from fields.methods.registry import make_method
from fields.models.field import PointField
from fields.render.raster import evaluate_lattice, sample_centers
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.signal import Signal

# Bins of the spectra of signals with two or three axes; audio has a bin for every frequency.
BINS = 64
MIN_BINS = 4
# Fractions of the work that are done when the signal is open, when it is sampled, and when the field is evaluated.
FRACTIONS = (0.1, 0.2, 0.5)
# Networks that FreSh tries before it decides: about so many, which nobody knows before.
USUAL_TRIALS = 8


@dataclass(frozen=True)
class Spectra:
    """`curves`: fraction of the magnitude in each bin `[bins]`, by name; bin q = 0, 1, ... holds q + 1 cycles.

    `text`: a sentence about FreSh's choice; empty where the method has no frequency to choose.
    """

    curves: dict[str, np.ndarray]
    text: str


def run_spectra(run: Run, progress: Callable[[float, str], None] = lambda done, text: None) -> Spectra:
    """The spectra of a run, whose signal is opened again. Takes some seconds.

    progress: called with the fraction that is done, and what is done next; what it raises ends the work.

    Raises BadInput for signals without a regular grid of one to three axes, and for grids that are too small.
    """
    progress(0.0, "Opening the signal")
    field, signal = run.load_field(), reopen(run)
    dimensions = signal.domain.dimensions
    samples = [count for count in signal.domain.shape if count is not None]
    if dimensions not in SIDES or not isinstance(field, PointField) or len(samples) < dimensions:
        raise BadInput(
            "spectra are of images, audio, videos and volumes on a grid, and this run is of the kind "
            f"{run.header['kind']}"
        )
    side = min(SIDES[dimensions], *samples)
    bins = side // 2 - 1 if dimensions == 1 else min(BINS, side // 2 - 1)
    if bins < MIN_BINS:
        raise BadInput(f"{side} samples along an axis are too few for a spectrum")
    progress(FRACTIONS[0], "Computing the spectrum of the signal")
    target = torch.from_numpy(signal.on_grid(side))
    progress(FRACTIONS[1], "Evaluating the field")
    # Averaged like the target: at points, what is finer than this grid would show as lower frequencies.
    places, sizes = [sample_centers(side)] * dimensions, [1 / side] * dimensions
    fit = torch.from_numpy(np.moveaxis(evaluate_lattice(field, *places, footprint=sizes, most=4), -1, 0).copy())
    curves = {name: _normalized(diagonal_spectrum(values, bins)) for name, values in (("target", target), ("fit", fit))}
    progress(FRACTIONS[2], "Trying frequencies, as FreSh does")

    def tried(count: int) -> None:
        progress(1 - (1 - FRACTIONS[2]) / (1 + count / USUAL_TRIALS), f"Trying frequencies, as FreSh does: {count}")

    chosen, text = _fresh_choice(run, signal, tried)
    if chosen is not None:
        curves["FreSh's choice"] = chosen
    return Spectra(curves, text)


def _fresh_choice(run: Run, signal: Signal, tried: Callable[[int], None]) -> tuple[np.ndarray | None, str]:
    """The spectrum of the untrained network that FreSh would choose, and a sentence about the choice."""
    method = make_method(run.header["method"], run.header["options"])
    if not method.frequency_option:
        return None, ""
    try:
        _, report, choice = apply_fresh(method, signal, tried=tried)
    except BadInput as reason:
        # With these options of the method there is nothing to choose.
        return None, str(reason)
    if choice is None:
        return None, report["remark"]
    present = getattr(method, method.frequency_option)
    text = f"FreSh would choose {report['option']} = {report['value']:g}; this run has {present:g}."
    return _normalized(choice.network), " ".join(filter(None, (text, report.get("remark"))))


def _normalized(spectrum: Tensor) -> np.ndarray:
    return (spectrum / (float(spectrum.sum()) or 1.0)).double().cpu().numpy()
