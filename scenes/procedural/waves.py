"""A function of waves: known everywhere, of any number of dimensions, for tests and for checking methods."""

from __future__ import annotations

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.sampling import StratifiedSampler
from scenes.signal import Signal

WAVES = 6


class Waves(Signal):
    """A smooth function on [0, 1]^D, a sum of a few waves of up to `cycles` cycles an axis, measured on a regular grid.

    Values are in [0, 1]; the same seed is the same function. Samples an axis: `shape`, x first.
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
        """Coords `[n, D]` float32 of the measurements `index`, the first axis fastest."""
        places = np.unravel_index(index, tuple(reversed(self.domain.shape)))
        return np.stack([(p + 0.5) / n for p, n in zip(reversed(places), self.domain.shape)], axis=-1).astype(
            np.float32
        )

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        coords = self.coords(self._sampler.indices(step, count, seed))
        return coords, self.at(coords)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Coords and values of all measurements."""
        coords = self.coords(np.arange(self._sampler.total))
        return coords, self.at(coords)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The middle slice across the first two axes, channel 0, as a grey picture."""
        side = min(longest_side, 256)
        coords = np.full((side * side, self.domain.dimensions), 0.5, np.float32)
        for axis, values in zip(
            range(min(2, self.domain.dimensions)), np.meshgrid(*[(np.arange(side) + 0.5) / side] * 2)
        ):
            coords[:, axis] = values.reshape(-1)
        grey = np.clip(self.at(coords)[:, 0] * 255, 0, 255).astype(np.uint8).reshape(side, side)
        return np.repeat(grey[..., None], 3, axis=-1)
