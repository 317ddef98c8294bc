"""Layout of a hash grid for audio, measured on music and speech; see docs/signals/audio.md.

Audio is detail everywhere, so that coarse levels are wasted on it, and it is usually sampled finer than it changes.
The finest cells follow its bandwidth, tables are many and small, and there is half a parameter per sample in all. Short
sounds get more, as far as their bandwidth has use for them: their tables are small anyway, and a bird's song of 60,000
samples that fills its band has 20 dB more with two parameters per sample than with a half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from fields.methods.hashgrid import HashGrid
    from scenes.signal import Signal

# Parameters per value of the signal.
PARAMS_PER_VALUE = 0.49
# Short signals get so many parameters, but not more than so many per value and per part of the bandwidth in use.
MIN_PARAMS = 1 << 17
PARAMS_PER_BAND_VALUE = 2.0
# Values of the signal per table entry, where there is half a parameter per value.
VALUES_PER_ENTRY = 36
# Numbers of levels in the order in which they are tried.
LEVELS = (10, 9, 8, 11, 7, 12, 6, 5, 4)
# Cells per period of the highest frequency that matters. 2 would be the Nyquist rate.
CELLS_PER_PERIOD = 2.8
LEARNING_RATES = {"learning_rate": 0.015, "table_rate": 0.02}
# Fraction of the wanted parameters with which a layout is good enough to stop the search.
FILLED = 0.94
LAYOUT_OPTIONS = ("levels", "table_size", "base_resolution", "growth")

Grid = TypeVar("Grid", bound="HashGrid")


def fit_to_bandwidth(method: Grid, signal: Signal) -> Grid:
    """A copy whose options suit a time series, where the user has not set them."""
    given = method.model_fields_set
    method = method.model_copy(update={name: rate for name, rate in LEARNING_RATES.items() if name not in given})
    if any(name in given for name in LAYOUT_OPTIONS):
        # A user who sets one of these wants a layout of their own.
        return method
    samples, channels = signal.domain.grid_shape[0], len(signal.channels)
    values = samples * channels
    bandwidth = signal.bandwidth()
    wanted = max(PARAMS_PER_VALUE * values, min(MIN_PARAMS, PARAMS_PER_BAND_VALUE * bandwidth * values))
    entries = wanted / PARAMS_PER_VALUE / VALUES_PER_ENTRY
    table_size = 2 ** max(4, round(np.log2(entries)))
    finest = max(64.0, samples * min(1.0, bandwidth * CELLS_PER_PERIOD / 2))
    best, most = None, 0
    for levels in LEVELS:
        copy = method.model_copy(update={"levels": levels, "table_size": table_size})
        found = _largest_below(copy, finest, channels, wanted)
        if found is None:
            continue
        count = found.parameters(1, channels)
        if count > most:
            best, most = found, count
        if count >= FILLED * wanted:
            return found
    return best or method


def _largest_below(method: Grid, finest: float, channels: int, wanted: float) -> Grid | None:
    """The copy with the largest base resolution that has at most `wanted` parameters; None where there is none."""
    best = None
    for base in np.unique(np.geomspace(2, min(65536, finest * 0.9), 200).astype(int)).tolist():
        growth = (finest / base) ** (1 / (method.levels - 1))
        if not 1 < growth <= 8:
            continue
        copy = method.model_copy(update={"base_resolution": base, "growth": growth})
        if copy.parameters(1, channels) <= wanted:
            best = copy
    return best
