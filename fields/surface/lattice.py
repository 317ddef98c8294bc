"""The lattice a surface is extracted on: nodes in a box, and one layer of nodes around it that count as outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.errors import BadInput

# Cells along an axis of a block: the unit in which the field is evaluated near a surface.
BLOCK = 4
# Allowed cells along the longest side.
MIN_RESOLUTION = 8
MAX_RESOLUTION = 4096


@dataclass(frozen=True)
class Lattice:
    """`counts` nearly cubic cells along x, y, z between `lower` and `upper` (`[3]` each).

    Node i along an axis is at `lower + (i - 1) * spacing`, i from 0 to count + 2. The first and the last node are the
    layer outside, which closes a surface that leaves the box.
    """

    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
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
        return -(-(self.counts + 2) // BLOCK)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Positions of nodes with indices `[n, 3]`, which may be fractional.

        The outer layer lies on the box's border.
        """
        return np.clip(self.lower + (index - 1) * self.spacing, self.lower, self.upper)

    def within(self, index: np.ndarray) -> np.ndarray:
        """Whether each node `[n, 3]` lies in the box and not in the outer layer or beyond it, `[n]`."""
        return ((index >= 1) & (index <= self.counts + 1)).all(axis=-1)


def lattice(lower, upper, resolution: int) -> Lattice:
    """Lattice of `resolution` cells along the longest side; BadInput outside of 8 to 4096."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise BadInput(
            f"`resolution={resolution}`: should be from {MIN_RESOLUTION} to {MAX_RESOLUTION} cells along the longest side"
        )
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    sides = upper - lower
    counts = np.maximum(np.ceil(sides * (resolution / sides.max()) - 1e-6).astype(np.int64), 1)
    return Lattice(lower, upper, counts)
