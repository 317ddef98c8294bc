"""How a hash grid is laid out for a sound: measured on music and speech, see docs/signals/audio.md.

A sound is all detail: coarse levels are wasted on it, and it is usually sampled finer than it changes. So the finest cells
follow its bandwidth, the tables are many and small, and there is half a number a sample in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fields.methods.hashgrid import HashGrid
    from scenes.audio.signal import Audio

PARAMS_PER_VALUE = 0.49
# Entries a level: one for about so many values of the sound.
VALUES_AN_ENTRY = 36
LEVELS = (10, 9, 8, 11, 7, 12, 6, 5, 4)
# Cells a period of the highest frequency that matters (of which 2 would be Nyquist's).
CELLS_A_PERIOD = 2.8
RATES = {"learning_rate": 0.015, "table_rate": 0.02}
FILLED = 0.94


def sound_grid(method: HashGrid, sound: Audio) -> HashGrid:
    """A copy in which everything that the user has not set suits `sound`."""
    open_options = {
        name for name in ("levels", "table_size", "base_resolution", "growth") if name not in method.model_fields_set
    }
    method = method.model_copy(
        update={name: rate for name, rate in RATES.items() if name not in method.model_fields_set}
    )
    values = sound.num_samples * len(sound.channels)
    if len(open_options) < 4:
        return method  # whoever sets one of these means a layout of their own
    table = 2 ** max(4, round(np.log2(values / VALUES_AN_ENTRY)))
    finest = max(64.0, sound.num_samples * min(1.0, sound.bandwidth() * CELLS_A_PERIOD / 2))
    best = None
    for levels in LEVELS:
        found = _filled(
            method.model_copy(update={"levels": levels, "table_size": table}),
            finest,
            len(sound.channels),
            PARAMS_PER_VALUE * values,
        )
        if found is None:
            continue
        numbers = found.parameters(1, len(sound.channels))
        if best is None or numbers > best.parameters(1, len(sound.channels)):
            best = found
        if numbers >= FILLED * PARAMS_PER_VALUE * values:
            return found
    return best or method


def _filled(method: HashGrid, finest: float, channels: int, room: float) -> HashGrid | None:
    """The copy with the largest base resolution that holds at most `room` numbers; None where even the least is too large."""
    best = None
    for base in np.unique(np.geomspace(2, min(65536, finest * 0.9), 200).astype(int)).tolist():
        growth = (finest / base) ** (1 / (method.levels - 1))
        if not 1 < growth <= 8:
            continue
        layout = method.model_copy(update={"base_resolution": base, "growth": growth})
        if layout.num_parameters(1, channels) <= room:
            best = layout
    return best
