"""What several readers share: numbers in text, and intensities as grey."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Names of a column with the strength of a scanner's echo.
INTENSITY_NAMES = (
    "intensity",
    "Intensity",
    "scalar_Intensity",
    "scalar_intensity",
    "reflectance",
    "scalar_Reflectance",
)
# Percentiles of intensities that become black and white.
BLACK, WHITE = 0.5, 99.5


def numbers(text: bytes) -> np.ndarray:
    """Numbers `[n]` float64 with space between them. Raises ValueError where something else is among them."""
    # numpy's parser of text needs a third of the time and a tenth of the memory of splitting.
    return np.fromstring(text, sep=" ") if text.strip() else np.zeros(0)


def cloud_colors(columns: Mapping[str, np.ndarray], notes: list[str]) -> np.ndarray | None:
    """Grey `[n, 3]` of the intensities where points have these and no colours; None without."""
    for name in INTENSITY_NAMES:
        if name in columns and not isinstance(columns[name], tuple):
            return grey_of(np.asarray(columns[name], np.float64), notes)
    return None


def grey_of(intensity: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """Grey `[n, 3]` of intensities `[n]`; None where all are equal. Adds a note on the range."""
    finite = intensity[np.isfinite(intensity)]
    if not len(finite):
        return None
    black, white = np.percentile(finite, [BLACK, WHITE])
    if not white > black:
        return None
    notes.append(f"the intensity is read as grey: {black:g} is black, {white:g} is white")
    return np.repeat(np.clip((intensity - black) / (white - black), 0, 1)[:, None], 3, axis=1)
