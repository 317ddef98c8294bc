"""Positions far from the origin, which float32 would round: what a writer subtracts, and how its file says so."""

from __future__ import annotations

import re

import numpy as np

# Largest rounding of a position by float32, in units of the file, and as a fraction of the longest side.
MAX_ROUNDING = 5e-4
MAX_RELATIVE_ROUNDING = 1e-6
# Decimals of an offset: whole units, so that it is exact in any type.
PATTERN = re.compile(rb"offset (-?\d+) (-?\d+) (-?\d+)")


def far_offset(vertices: np.ndarray) -> np.ndarray | None:
    """The offset `[3]`, whole numbers, that positions `[n, 3]` lose in a file of float32; None where they need none.

    They need it where float32 would round them by more than half a thousandth of a unit or a millionth of their longest
    side, and the origin is so far away that the offset makes that less.
    """
    vertices = np.asarray(vertices, np.float64)
    lower, upper = vertices.min(axis=0), vertices.max(axis=0)
    side = float((upper - lower).max())
    rounding = float(np.abs(vertices).max()) * 2.0**-24
    if rounding <= min(MAX_ROUNDING, MAX_RELATIVE_ROUNDING * side) or not np.isfinite(side):
        return None
    middle = np.rint((lower + upper) / 2)
    gain = np.abs(vertices).max() / max(float(np.abs(vertices - middle).max()), 1e-300)
    return middle if gain > 2 else None


def offset_text(offset: np.ndarray) -> str:
    """An offset as text that `read_offset` knows."""
    return "offset " + " ".join(str(int(value)) for value in offset)


def split_offset(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[n, 3]` less their `far_offset`, and that offset; it is zero where they need none."""
    offset = far_offset(vertices)
    offset = np.zeros(3) if offset is None else offset
    return np.asarray(vertices, np.float64) - offset, offset


def digits_for(vertices: np.ndarray, digits: int) -> int:
    """Significant digits with which positions are written as text: more than `digits` far from the origin."""
    offset = far_offset(vertices)
    if offset is None:
        return digits
    side = float((vertices.max(axis=0) - vertices.min(axis=0)).max())
    return min(digits + max(int(np.ceil(np.log10(np.abs(vertices).max() / max(side, 1e-300)))), 0) + 1, 17)


def read_offset(text: bytes) -> np.ndarray | None:
    """The offset `[3]` that a text has, or None."""
    found = PATTERN.search(text)
    return np.array([float(part) for part in found.groups()]) if found else None
