"""Find the blocks of a lattice that a surface may pass through, without evaluating all nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fields.surface.lattice import BLOCK, Lattice
from fields.surface.marching_cubes_table import CORNERS

# Cells along an axis of the coarse blocks that are tested first, where values are distances.
COARSE = 16

# Positions `[n, 3]` → values `[n]` float32 of the function whose zero set is the surface, negative inside.
Evaluate = Callable[[np.ndarray], np.ndarray]


def blocks_near_surface(evaluate: Evaluate, lattice: Lattice, steepness: float) -> np.ndarray:
    """Blocks that the surface of a distance may reach, `[x, y, z]` bool: tested by their centers, in two sizes.

    steepness: largest slope of the function.
    """
    ratio = COARSE // BLOCK
    blocks = lattice.blocks
    chosen = []
    for x in range(-(-int(blocks[0]) // ratio)):
        plane = _indices([x], *(np.arange(-(-n // ratio)) for n in blocks[1:]))
        chosen.append(plane[_may_contain_surface(evaluate, lattice, plane, COARSE, steepness)])
    coarse = np.concatenate(chosen)
    fine = (coarse[:, None] * ratio + _indices(*[np.arange(ratio)] * 3)).reshape(-1, 3)
    fine = fine[(fine < blocks).all(axis=1)]
    fine = fine[_may_contain_surface(evaluate, lattice, fine, BLOCK, steepness)]
    active = np.zeros(blocks, bool)
    active[tuple(fine.T)] = True
    return active


def blocks_with_sign_change(evaluate: Evaluate, lattice: Lattice) -> np.ndarray:
    """Blocks whose corners differ in sign, and their neighbours, `[x, y, z]` bool."""
    from scipy.ndimage import binary_dilation

    blocks = lattice.blocks
    signs = np.empty(blocks + 1, bool)
    for x in range(int(blocks[0]) + 1):
        index = _indices([x * BLOCK], *(np.arange(n + 1) * BLOCK for n in blocks[1:]))
        signs[x] = (evaluate(lattice.positions(index)) < 0).reshape(signs.shape[1:])
    corners = [signs[x : x + blocks[0], y : y + blocks[1], z : z + blocks[2]] for x, y, z in CORNERS]
    some, every = np.logical_or.reduce(corners), np.logical_and.reduce(corners)
    crossed = some & ~every
    # At the border of the box, the outer layer cuts off whatever is inside.
    for axis in range(3):
        for side in (0, -1):
            border = np.moveaxis(crossed, axis, 0)
            border[side] |= np.moveaxis(some, axis, 0)[side]
    return binary_dilation(crossed, np.ones((3, 3, 3), bool))


def _may_contain_surface(
    evaluate: Evaluate, lattice: Lattice, index: np.ndarray, size: int, steepness: float
) -> np.ndarray:
    """Whether the surface, or the border that cuts it off, may pass through cubes of `size` cells, `[n]` bool.

    index: indices of the cubes, `[n, 3]`.
    """
    center = (index + 0.5) * size
    at = lattice.positions(center)
    # A center beyond the box is evaluated on the border.
    beyond = np.linalg.norm((lattice.lower + (center - 1) * lattice.spacing) - at, axis=1)
    radius = np.linalg.norm(lattice.spacing) * size / 2 + beyond
    value = evaluate(at)
    border = ((index * size <= 1) | ((index + 1) * size >= lattice.counts + 1)).any(axis=1)
    return (np.abs(value) <= steepness * radius) | (border & (value < 0))


def _indices(*axes: np.ndarray | list[int]) -> np.ndarray:
    """Every combination of indices along three axes, `[n, 3]`."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
