"""Pictures of sounds: level over time and frequency."""

from __future__ import annotations

import numpy as np

WINDOW = 1024
RANGE = 80.0
# From nothing to loud: (level, red, green, blue), straight lines between; dark to light, and legible to the colour-blind.
PALETTE = np.array(
    [(0.0, 4, 4, 16), (0.25, 66, 16, 104), (0.5, 172, 44, 90), (0.75, 240, 126, 44), (1.0, 252, 252, 190)]
)


def levels(sound: np.ndarray, width: int, height: int, reference: float | None = None) -> tuple[np.ndarray, float]:
    """Power in dB `[height, width]`, high frequencies on top, 0 being `reference` (the loudest bin, which is returned).

    `sound` is `[N, C]`; its channels are averaged as powers. Windows of 1024 samples (or fewer for short sounds), Hann; where
    there are more of them than columns, or more bins than rows, the loudest is shown. Memory does not grow with the sound.
    """
    count = min(WINDOW, len(sound))
    window = np.hanning(count + 1)[:count].astype(np.float32) if count > 2 else np.ones(count, np.float32)
    bins = count // 2 + 1
    shown = np.zeros((width, bins), np.float32)
    latest = len(sound) - count
    columns = max(1, min(width, latest + 1))
    hop = max(1, count // 2)
    for column in range(width):
        # The windows of this column: spread over its stretch, at most half a window apart.
        first, last = (round(latest * edge / columns) for edge in (min(column, columns - 1), min(column + 1, columns)))
        starts = np.arange(first, max(first + 1, last), hop)[:64]
        frames = np.stack([sound[start : start + count] for start in starts]) * window[None, :, None]
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        shown[column] = power.mean(axis=2).max(axis=0)
    rows = np.linspace(0, bins, height + 1).astype(int)
    rows = np.minimum(rows, bins - 1)
    squeezed = np.stack([shown[:, a : max(a + 1, b)].max(axis=1) for a, b in zip(rows[:-1], rows[1:])])[::-1]
    reference = float(shown.max()) if reference is None else reference
    return 10 * np.log10(np.maximum(squeezed, 1e-30) / max(reference, 1e-30)), reference


def colors(level: np.ndarray) -> np.ndarray:
    """Levels in dB as `[..., 3]` uint8: -80 dB and below is dark, 0 dB light."""
    share = np.clip(1 + level / RANGE, 0, 1)
    return (
        np.stack([np.interp(share, PALETTE[:, 0], PALETTE[:, i]) for i in (1, 2, 3)], axis=-1).round().astype(np.uint8)
    )


def spectrogram(sound: np.ndarray, width: int, height: int, reference: float | None = None) -> np.ndarray:
    """`[height, width, 3]` uint8; see `levels`."""
    return colors(levels(sound, width, height, reference)[0])
