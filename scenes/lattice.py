"""What sounds, volumes and clips have in common: values on a regular lattice."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.io.files import file_digest, file_state
from scenes.sampling import StratifiedSampler, draw_held_out, true_indices
from scenes.signal import Signal

# The samples that `held_out_samples` gives at a time.
CHUNK_SAMPLES = 1 << 16


class Lattice(Signal):
    """`stored` is `[n_D, ..., n_1, C]`, raster order: the axis `x` (or `t` of a sound) comes first in coordinates and last
    here. Integers or float32; may be a memory-mapped file.

    A training value is `stored * gain + shift`, float32. `held_out` is None or bool `[n_D * ... * n_1]`: the samples
    withheld for scoring.
    """

    def __init__(
        self,
        stored: np.ndarray,
        domain: Domain,
        channels: Channels,
        source: dict,
        *,
        gain: float = 1.0,
        shift: float = 0.0,
        held_out: np.ndarray | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        if stored.shape != (*domain.shape[::-1], len(channels)):
            raise ValueError(f"stored values {stored.shape} do not match the domain {domain.shape} x {len(channels)}")
        self.stored = np.ascontiguousarray(stored)
        self.domain = domain
        self.channels = channels
        self.source = source
        self.notes = tuple(notes)
        self.gain = np.float32(gain)
        self.shift = np.float32(shift)
        self.held_out = held_out
        self.total = math.prod(domain.shape)
        self._usable = None if held_out is None else true_indices(~held_out)
        self._sampler = StratifiedSampler(self.total if held_out is None else len(self._usable))
        self._centres = [((np.arange(n) + 0.5) / n).astype(np.float32) for n in domain.shape]

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch` and `StratifiedSampler`: every usable sample once an epoch, each batch in raster order."""
        index = self._sampler.indices(step, count, seed)
        return self._samples(index if self._usable is None else self._usable[index])

    def held_out_samples(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Coords `[n, D]` and values `[n, C]` of the withheld samples in raster order, n <= 65,536 at a time."""
        if self.held_out is not None:
            index = true_indices(self.held_out)
            for start in range(0, len(index), CHUNK_SAMPLES):
                yield self._samples(index[start : start + CHUNK_SAMPLES])

    def values(self, *part: slice | int) -> np.ndarray:
        """Training values of `stored[part]`, by default of all: a new float32 array."""
        return self._to_values(self.stored[part])

    def on_grid(self, side: int) -> np.ndarray:
        """See `Signal.on_grid`; of the outermost stored axis one slab after another, so memory stays bounded."""
        inner = range(self.domain.dimensions - 1)
        edges = np.linspace(0, len(self.stored), side + 1)
        if self.domain.dimensions == 1:
            return np.moveaxis(resample_axis(self.values(), 0, side), -1, 0)
        slabs = []
        for low, high in zip(edges[:-1], edges[1:]):
            # The slabs that the cell touches, and how much of each lies in it; of fewer slabs than cells, the nearest one.
            first, last = int(low), min(len(self.stored), max(int(low) + 1, int(np.ceil(high))))
            part = self.values(slice(first, last))
            share = np.minimum(np.arange(first, last) + 1, high) - np.maximum(np.arange(first, last), low)
            mean = np.tensordot(share / share.sum(), part, axes=1)
            for axis in inner:
                mean = resample_axis(mean, axis, side)
            slabs.append(mean)
        return np.moveaxis(np.stack(slabs), -1, 0).astype(np.float32)

    def rescale_to(self, channels: Channels) -> None:
        own, other = self.channels.upper - self.channels.lower, channels.upper - channels.lower
        self.gain = np.float32(self.gain * own / other)
        self.shift = np.float32((self.shift * own + self.channels.lower - channels.lower) / other)
        self.channels = channels

    def _samples(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coords = np.empty((len(index), self.domain.dimensions), np.float32)
        rest = index
        for axis, (centres, samples) in enumerate(zip(self._centres, self.domain.shape)):
            if axis == self.domain.dimensions - 1:
                coords[:, axis] = centres[rest]
            else:
                rest, place = np.divmod(rest, samples)
                coords[:, axis] = centres[place]
        return coords, self._to_values(self.stored.reshape(self.total, -1).take(index, axis=0))

    def _to_values(self, stored: np.ndarray) -> np.ndarray:
        values = stored * self.gain if stored.dtype == np.float32 else np.multiply(stored, self.gain, dtype=np.float32)
        if self.shift:
            values += self.shift
        return values


def source_record(path, file, options: dict) -> dict:
    """What `run.json` records of a file: `options` are those that are not as by default, for `scenes.reopen`."""
    return {"path": str(path), **file_state(file), "sha256": file_digest(file), "options": options}


def held_out_mask(total: int, share: float, seed: int, name: str) -> np.ndarray | None:
    """bool `[total]`, True where a sample is withheld; None for a share of 0. BadInput where that leaves nothing."""
    if not share:
        return None
    if not 0 < share < 1:
        raise BadInput(f"a share of {share} cannot be held out; give a number between 0 and 1, such as 0.1")
    held = draw_held_out(total, share, seed)
    if held.all() or not held.any():
        raise BadInput(
            f"{name}: holding out {share} of so few samples leaves none to {'fit' if held.all() else 'score'}; "
            "give another share"
        )
    return held


def resample_axis(values: np.ndarray, axis: int, side: int) -> np.ndarray:
    """`side` samples along an axis: means over cells of equal length, each of the old samples counted by what of it lies in a cell."""
    n = values.shape[axis]
    total = np.concatenate(
        [np.zeros_like(values.take([0], axis), dtype=np.float64), values.cumsum(axis, dtype=np.float64)], axis=axis
    )
    edges = np.linspace(0, n, side + 1)
    index = np.minimum(edges.astype(int), n - 1)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    at_edges = total.take(index, axis) + (edges - index).reshape(shape) * values.take(index, axis)
    return (np.diff(at_edges, axis=axis) * (side / n)).astype(np.float32)
