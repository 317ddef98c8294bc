"""The lattice that a surface is looked for on: nodes in a box, and a ring of nodes around it that count as outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.errors import BadInput

# Cells along an axis of a block: what is asked for at once where a surface may be.
BLOCK = 4
COARSEST, FINEST = 8, 4096


@dataclass(frozen=True)
class Lattice:
    """`counts` cells along x, y, z between `lower` and `upper` (`[3]`), which are nearly cubes.

    Node i along an axis is at `lower + (i - 1) * spacing`, i from 0 to count + 2; the first and the last are the ring, which
    closes a surface that leaves the box.
    """

    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        return (self.upper - self.lower) / self.counts

    @property
    def cell(self) -> float:
        """The longest side of a cell."""
        return float(self.spacing.max())

    @property
    def nodes(self) -> np.ndarray:
        """Nodes along each axis, the ring included and filled up to whole blocks."""
        return self.blocks * BLOCK + 1

    @property
    def blocks(self) -> np.ndarray:
        return -(-(self.counts + 2) // BLOCK)

    def places(self, index: np.ndarray) -> np.ndarray:
        """Where nodes `[n, 3]` (may be fractions) are; the ring lies on the box's border."""
        return np.clip(self.lower + (index - 1) * self.spacing, self.lower, self.upper)

    def within(self, index: np.ndarray) -> np.ndarray:
        """bool `[n]`: which nodes are in the box and not in the ring or beyond it."""
        return ((index >= 1) & (index <= self.counts + 1)).all(axis=-1)


def lattice(lower, upper, resolution: int) -> Lattice:
    """`resolution` cells along the longest side; BadInput outside of 8 to 4096."""
    if not COARSEST <= resolution <= FINEST:
        raise BadInput(f"`resolution={resolution}`: should be from {COARSEST} to {FINEST} cells along the longest side")
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    sides = upper - lower
    counts = np.maximum(np.ceil(sides * (resolution / sides.max()) - 1e-6).astype(np.int64), 1)
    return Lattice(lower, upper, counts)
