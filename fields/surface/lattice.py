"""The lattice a surface is extracted on: nodes in a box, and one layer of nodes around it that count as outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scenes.errors import BadInput

# Cells along an axis of a block, the unit in which the field is evaluated near a surface.
BLOCK = 4
# Allowed cells along the longest side.
MIN_RESOLUTION = 8
MAX_RESOLUTION = 4096


@dataclass(frozen=True)
class Lattice:
    """Nearly cubic cells in a box.

    lower, upper: corners of the box, `[3]` each.
    counts: cells along x, y, z.

    Node i along an axis is at `lower + (i - 1) * spacing`, i from 0 to count + 2. The first and the last node are the
    outer layer, which closes a surface that leaves the box.
    """

    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Sides of a cell, `[3]`."""
        return (self.upper - self.lower) / self.counts

    @property
    def cell(self) -> float:
        """Longest side of a cell."""
        return float(self.spacing.max())

    @property
    def nodes(self) -> np.ndarray:
        """Nodes along each axis, with the outer layer, rounded up to whole blocks."""
        return self.blocks * BLOCK + 1

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of `BLOCK` cells along each axis, which cover the outer layer too."""
        return -(-(self.counts + 2) // BLOCK)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Positions `[n, 3]` of nodes with indices `[n, 3]`, which may be fractional; clipped to the box."""
        return np.clip(self.lower + (index - 1) * self.spacing, self.lower, self.upper)

    def within(self, index: np.ndarray) -> np.ndarray:
        """Whether each node `[n, 3]` lies in the box and not in the outer layer or beyond it, `[n]` bool."""
        return np.all((index >= 1) & (index <= self.counts + 1), axis=-1)


def make_lattice(lower: ArrayLike, upper: ArrayLike, resolution: int) -> Lattice:
    """Divide the box between two corners `[3]` into `resolution` cells along its longest side.

    Raises BadInput for a resolution outside of 8 to 4096.
    """
    check_resolution(resolution)
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    sides = upper - lower
    counts = np.maximum(np.ceil(sides * (resolution / sides.max()) - 1e-6).astype(np.int64), 1)
    return Lattice(lower, upper, counts)


def check_resolution(resolution: int) -> None:
    """Raise BadInput for a resolution outside of 8 to 4096."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise BadInput(
            f"`resolution={resolution}`: should be from {MIN_RESOLUTION} to {MAX_RESOLUTION} cells "
            "along the longest side"
        )
