"""Number of features that encoders give, before they are built. Imports no torch: the command line asks this."""

from __future__ import annotations


def frequency_outputs(dimensions: int, octaves: int) -> int:
    """Number of features of `fields.encoders.frequency.Frequency`, the coordinates themselves included."""
    return dimensions * (2 * octaves + 1)
