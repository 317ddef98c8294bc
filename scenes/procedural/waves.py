"""A sum of waves: a signal that is known everywhere, for tests and for checking methods."""

from __future__ import annotations

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.sampling import StratifiedSampler
from scenes.signal import Signal

# Number of waves in the sum.
WAVES = 6
# Largest side of a preview, in pixels.
MAX_PREVIEW = 256


class Waves(Signal):
    """A smooth function on [0, 1]^D with values in [0, 1], measured on a regular grid.

    Args:
        shape: samples along each axis, x first; up to four axes.
        channels: number of values at each point.
        cycles: largest frequency, in cycles along an axis.
        seed: of the waves; the same seed gives the same function.
    """

    kind = "procedural"

    def __init__(self, shape: tuple[int, ...], channels: int = 3, cycles: float = 3.0, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        dimensions = len(shape)
        self.domain = Domain(tuple(Axis(name, 0.0, 1.0, "", n) for name, n in zip("xyzt", shape)))
        self.channels = Channels(tuple(f"value {i}" for i in range(channels)), "scalar")
        self.source = {"path": "waves"}
        self._frequency = generator.uniform(-cycles, cycles, (WAVES, dimensions))
        self._phase = generator.uniform(0, 1, WAVES)
        self._amplitude = generator.normal(size=(WAVES, channels))
        self._amplitude /= np.abs(self._amplitude).sum(0)
        self._sampler = StratifiedSampler(int(np.prod(shape)))

    def at(self, coords: np.ndarray) -> np.ndarray:
        """Values `[N, C]` float32 at coords `[N, D]`."""
        waves = np.sin(2 * np.pi * (coords.astype(np.float64) @ self._frequency.T + self._phase))
        return (0.5 + 0.5 * waves @ self._amplitude).astype(np.float32)

    def coords(self, index: np.ndarray) -> np.ndarray:
        """Coords `[n, D]` float32 of the samples `index` `[n]`, with x as the fastest axis."""
        shape = self.domain.grid_shape
        cells = reversed(np.unravel_index(index, shape[::-1]))
        return np.stack([(cell + 0.5) / n for cell, n in zip(cells, shape)], axis=-1).astype(np.float32)

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[n, D]` and values `[n, C]` of one step; see `Signal.batch`."""
        coords = self.coords(self._sampler.indices(step, count, seed))
        return coords, self.at(coords)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[N, D]` and values `[N, C]` of all samples."""
        coords = self.coords(np.arange(self._sampler.total))
        return coords, self.at(coords)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The middle slice across the first two axes, channel 0, `[h, w, 3]` uint8 in shades of gray."""
        side = min(longest_side, MAX_PREVIEW)
        coords = np.full((side * side, self.domain.dimensions), 0.5, np.float32)
        centres = (np.arange(side) + 0.5) / side
        for axis, values in enumerate(np.meshgrid(centres, centres)[: self.domain.dimensions]):
            coords[:, axis] = values.reshape(-1)
        gray = np.clip(self.at(coords)[:, 0] * 255, 0, 255).astype(np.uint8).reshape(side, side)
        return np.repeat(gray[..., None], 3, axis=-1)
