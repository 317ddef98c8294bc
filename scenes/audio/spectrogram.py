"""Spectrograms of audio: power over time and frequency, as numbers and as images."""

from __future__ import annotations

import numpy as np

# Samples per window of the short-time Fourier transform.
WINDOW = 1024
# Windows that are looked at for each column.
MAX_WINDOWS_PER_COLUMN = 64
# Range of levels that is shown, in dB below the reference.
DYNAMIC_RANGE = 80.0
# Smallest power that is told from zero.
MIN_POWER = 1e-30
# From silent to loud: (fraction of the range, red, green, blue), interpolated linearly. Its lightness increases, so it
# is legible to the colour-blind.
PALETTE = np.array(
    [(0.0, 4, 4, 16), (0.25, 66, 16, 104), (0.5, 172, 44, 90), (0.75, 240, 126, 44), (1.0, 252, 252, 190)]
)


def power_levels(
    audio: np.ndarray, width: int, height: int, reference: float | None = None
) -> tuple[np.ndarray, float]:
    """Power in dB of a short-time Fourier transform, squeezed into `width` columns and `height` rows.

    Hann windows of 1024 samples, or of all samples where there are fewer. Where a column has several windows, or a row
    several frequencies, the largest power is taken. Memory does not grow with the audio.

    Args:
        audio: `[N, C]` amplitudes; the power is the mean over channels.
        width: columns, time to the right.
        height: rows, high frequencies on top.
        reference: power of 0 dB; by default the largest power of any column and frequency.

    Returns:
        Levels `[height, width]` in dB, and the reference.
    """
    count = min(WINDOW, len(audio))
    window = np.hanning(count + 1)[:count].astype(np.float32) if count > 2 else np.ones(count, np.float32)
    frequencies = count // 2 + 1
    power = np.zeros((width, frequencies), np.float32)
    latest = len(audio) - count
    columns = max(1, min(width, latest + 1))
    hop = max(1, count // 2)
    for column in range(width):
        # Starts of this column's windows: spread over its part of the time, at most half a window apart.
        first, last = (round(latest * edge / columns) for edge in (min(column, columns - 1), min(column + 1, columns)))
        starts = np.arange(first, max(first + 1, last), hop)[:MAX_WINDOWS_PER_COLUMN]
        frames = np.stack([audio[start : start + count] for start in starts]) * window[None, :, None]
        power[column] = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=2).max(axis=0)
    edges = np.minimum(np.linspace(0, frequencies, height + 1).astype(int), frequencies - 1)
    rows = [power[:, low : max(low + 1, high)].max(axis=1) for low, high in zip(edges[:-1], edges[1:])]
    reference = float(power.max()) if reference is None else reference
    return 10 * np.log10(np.maximum(np.stack(rows)[::-1], MIN_POWER) / max(reference, MIN_POWER)), reference


def level_colors(levels: np.ndarray) -> np.ndarray:
    """Colours of levels in dB: `[..., 3]` uint8, from dark at -80 dB and below to light at 0 dB."""
    fraction = np.clip(1 + levels / DYNAMIC_RANGE, 0, 1)
    colors = [np.interp(fraction, PALETTE[:, 0], PALETTE[:, channel]) for channel in (1, 2, 3)]
    return np.stack(colors, axis=-1).round().astype(np.uint8)


def spectrogram(audio: np.ndarray, width: int, height: int, reference: float | None = None) -> np.ndarray:
    """Image of the spectrogram, `[height, width, 3]` uint8. For the arguments see `power_levels`."""
    return level_colors(power_levels(audio, width, height, reference)[0])
