"""The linear equations of a texture: each pixel is a weighted sum of texels, or of vertex colors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fields.surface.texturing.atlas import Atlas, bilinear_taps, interpolated
from fields.surface.texturing.footprints import Footprints

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Pixels of one matrix. Pixels are sorted within it, so that those near each other in the texture follow each other.
ROWS_AT_ONCE = 400_000
# Texels along the sides of the squares in which pixels are sorted.
TILE = 16

# The unknowns of samples and their weights, `[M, K]` int32 and float32, and a key to sort by `[M]`, of footprints.
Taps = Callable[[Footprints], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass
class PixelRows:
    """Equations `matrix @ unknowns = colors` of some pixels.

    matrix: `[N, U]` float32, rows sum to 1.
    colors: `[N, 3]` float32 sRGB in [0, 1].
    trust: weights of the equations, `[N]` float32.
    views: index of each pixel's view, `[N]` int32.
    """

    matrix: csr_matrix
    colors: np.ndarray
    trust: np.ndarray
    views: np.ndarray

    def __len__(self) -> int:
        return len(self.trust)

    def predicted(self, values: np.ndarray) -> np.ndarray:
        """Colors `[N, C]` of the pixels for unknowns `[U, C]` (or `[C, U]` in memory, transposed)."""
        return np.stack([self.matrix @ np.ascontiguousarray(channel) for channel in values.T], axis=1)

    def pulled(self, residuals: np.ndarray) -> np.ndarray:
        """The transposed product: `[U, C]` for `[N, C]`."""
        return np.stack([self.matrix.T @ np.ascontiguousarray(channel) for channel in residuals.T]).T


def weighted_mean(
    rows: Sequence[PixelRows],
    factors: Sequence[np.ndarray] | None = None,
    *,
    weights: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean color `[U, 3]` of the pixels that show each unknown, and their weight `[U]`; zero where there are none.

    factors: multiply the pixels' colors, `[N, 3]` for each block of rows. weights: multiply their weights, `[N]`.
    """
    total: np.ndarray | float = 0.0
    for index, block in enumerate(rows):
        weight = block.trust if weights is None else block.trust * weights[index]
        colors = block.colors if factors is None else block.colors * factors[index]
        total = total + block.pulled(np.column_stack([colors * weight[:, None], weight]))
    total = np.asarray(total)
    return total[:, :3] / np.maximum(total[:, 3:], 1e-20), np.ascontiguousarray(total[:, 3])


class RowCollector:
    """Collects the equations of footprints, view by view.

    Args:
        taps: finds the unknowns of footprints.
        num_unknowns: number of unknowns.
    """

    def __init__(self, taps: Taps, num_unknowns: int) -> None:
        self._taps, self._num_unknowns = taps, num_unknowns
        self._waiting: list[tuple[np.ndarray, ...]] = []
        self._num_waiting = 0
        self._done: list[PixelRows] = []

    def add(self, footprints: Footprints, view: int) -> None:
        """Adds the pixels of a view."""
        numbers, weights, key = self._taps(footprints)
        views = np.full(len(key), view, np.int32)
        self._waiting.append((key, numbers, weights, footprints.colors.numpy(), footprints.trust.numpy(), views))
        self._num_waiting += len(key)
        if self._num_waiting >= ROWS_AT_ONCE:
            self._pack()

    def rows(self) -> list[PixelRows]:
        """The equations of all pixels so far."""
        self._pack()
        return self._done

    def _pack(self) -> None:
        from scipy.sparse import csr_matrix

        if not self._num_waiting:
            return
        key, numbers, weights, colors, trust, views = (np.concatenate(parts) for parts in zip(*self._waiting))
        self._waiting, self._num_waiting = [], 0
        order = np.argsort(key, kind="stable")
        starts = np.arange(0, numbers.size + 1, numbers.shape[1], dtype=np.int32)
        matrix = csr_matrix(
            (weights[order].reshape(-1), numbers[order].reshape(-1), starts), shape=(len(key), self._num_unknowns)
        )
        matrix.sum_duplicates()
        self._done.append(PixelRows(matrix, colors[order], trust[order], views[order]))


def texel_taps(atlas: Atlas, faces: np.ndarray, uv: np.ndarray) -> Taps:
    """Texels of footprints, by bilinear look-ups."""

    def taps(footprints: Footprints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        samples = footprints.triangles.shape[1]
        points = interpolated(uv, faces, footprints.triangles.numpy(), footprints.weights.numpy())
        texels, weights = bilinear_taps(points.reshape(-1, 2), atlas.size)
        numbers = atlas.number.reshape(-1)[texels]
        weights = np.where(numbers >= 0, weights, 0)
        row, column = np.divmod(texels.reshape(-1, 4 * samples)[:, 0], atlas.size)
        key = (row // TILE) * (atlas.size // TILE + 1) + column // TILE
        return (
            np.maximum(numbers, 0).reshape(-1, 4 * samples),
            (weights / np.float32(samples)).reshape(-1, 4 * samples),
            key,
        )

    return taps


def vertex_taps(faces: np.ndarray) -> Taps:
    """Vertices of footprints, by barycentric coordinates."""

    def taps(footprints: Footprints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        samples = footprints.triangles.shape[1]
        numbers = faces[footprints.triangles.numpy()].astype(np.int32).reshape(-1, 3 * samples)
        two = footprints.weights.numpy() / np.float32(samples)
        third = np.float32(1 / samples) - two.sum(axis=-1, keepdims=True)
        weights = np.concatenate([two, third], axis=-1).reshape(-1, 3 * samples)
        return numbers, weights, numbers[:, 0]

    return taps
