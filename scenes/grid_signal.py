"""Base class of audio, volumes and videos: values on a regular grid."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from scenes.domain import Channels, Domain
from scenes.io.files import file_digest, file_state
from scenes.lattice import CUBIC, Filter, Lattice
from scenes.sampling import StratifiedSampler, true_indices
from scenes.signal import Signal

# Samples that `held_out_samples` gives at a time.
CHUNK_SAMPLES = 1 << 16


class GridSignal(Signal):
    """Values on a regular grid, kept as the file has them and converted when they are drawn.

    Attributes:
        stored: `[n_D, ..., n_1, C]` integers or float32, possibly a memory-mapped file. The order is that of a raster:
            the first axis of the domain is the last one here.
        gain: factor from stored to training values: a training value is `(stored - zero) * gain`, float32. The
            difference comes first, so that small variations on a large offset are kept.
        zero: see `gain`.
        held_out: None, or bool `[n_D * ... * n_1]`: the samples withheld for scoring.
        num_samples: number of grid points.
    """

    # What gives values between the samples, and the range of these values.
    reconstruction: ClassVar[Filter] = CUBIC
    between_limits: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def __init__(
        self,
        stored: np.ndarray,
        domain: Domain,
        channels: Channels,
        source: dict[str, Any],
        *,
        gain: float = 1.0,
        zero: float = 0.0,
        held_out: np.ndarray | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Keep an array as a signal. Raises ValueError where its shape is not that of the domain and the channels."""
        self._shape = domain.grid_shape
        if stored.shape != (*self._shape[::-1], len(channels)):
            raise ValueError(f"stored values {stored.shape} do not match the domain {self._shape} x {len(channels)}")
        self.stored = np.ascontiguousarray(stored)
        self.domain = domain
        self.channels = channels
        self.source = source
        self.notes = tuple(notes)
        self.gain = np.float32(gain)
        self.zero = float(zero)
        self.held_out = held_out
        self.num_samples = math.prod(self._shape)
        self._usable = None if held_out is None else true_indices(~held_out)
        self._sampler = StratifiedSampler(self.num_samples if self._usable is None else len(self._usable))
        # Coordinates of the samples along each axis, in the order of the domain.
        self._axis_coords = [((np.arange(n) + 0.5) / n).astype(np.float32) for n in self._shape]

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch`: every usable sample once per epoch, each batch in raster order (`StratifiedSampler`)."""
        index = self._sampler.indices(step, count, seed)
        return self._samples(index if self._usable is None else self._usable[index])

    @cached_property
    def lattice(self) -> Lattice | None:
        """See `Signal.lattice`. None where samples are held out, as what is between the others is made of them."""
        if self.held_out is not None:
            return None
        return Lattice(
            self.stored,
            self._to_values,
            filters=(self.reconstruction,) * len(self._shape),
            limits=self.between_limits,
        )

    def held_out_samples(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over the held-out samples in raster order: coords `[n, D]` and values `[n, C]`, n <= 65,536."""
        if self.held_out is not None:
            index = true_indices(self.held_out)
            for start in range(0, len(index), CHUNK_SAMPLES):
                yield self._samples(index[start : start + CHUNK_SAMPLES])

    def values(self, *part: slice | int | np.ndarray) -> np.ndarray:
        """Training values of `stored[part]`, by default of all of it: a new float32 array."""
        return self._to_values(self.stored[part])

    def on_grid(self, side: int) -> np.ndarray:
        """See `Signal.on_grid`. Works slab by slab along the first stored axis, so memory stays bounded."""
        if self.domain.dimensions == 1:
            return np.moveaxis(resample_axis(self.values(), 0, side), -1, 0)
        edges = np.linspace(0, len(self.stored), side + 1)
        slabs = [self._mean_slab(low, high, side) for low, high in zip(edges[:-1], edges[1:])]
        return np.moveaxis(np.stack(slabs), -1, 0).astype(np.float32)

    def rescale_to(self, channels: Channels) -> None:
        """See `Signal.rescale_to`."""
        own, other = self.channels.upper - self.channels.lower, channels.upper - channels.lower
        # What the other range calls 0, in training values and then in stored ones.
        zero = (channels.lower - self.channels.lower) / own
        self.zero = self.zero + zero / float(self.gain)
        self.gain = np.float32(self.gain * own / other)
        self.channels = channels

    def _mean_slab(self, low: float, high: float, side: int) -> np.ndarray:
        """Mean over [low, high) of the first stored axis, the other axes resampled to `side`."""
        # The stored slabs that the interval touches, each weighted by its overlap. An interval within one slab takes
        # that slab.
        first, last = int(low), min(len(self.stored), max(int(low) + 1, int(np.ceil(high))))
        index = np.arange(first, last)
        overlap = np.minimum(index + 1, high) - np.maximum(index, low)
        mean = np.tensordot(overlap / overlap.sum(), self.values(slice(first, last)), axes=1)
        for axis in range(self.domain.dimensions - 1):
            mean = resample_axis(mean, axis, side)
        return mean

    def _samples(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[n, D]` and values `[n, C]` of the samples with these raster indices."""
        coords = np.empty((len(index), self.domain.dimensions), np.float32)
        rest = index
        for axis, (axis_coords, samples) in enumerate(zip(self._axis_coords, self._shape)):
            if axis == self.domain.dimensions - 1:
                coords[:, axis] = axis_coords[rest]
            else:
                rest, along_axis = np.divmod(rest, samples)
                coords[:, axis] = axis_coords[along_axis]
        return coords, self._to_values(self.stored.reshape(self.num_samples, -1).take(index, axis=0))

    def _to_values(self, stored: np.ndarray) -> np.ndarray:
        if not self.zero:
            return np.multiply(stored, self.gain, dtype=np.float32)
        values = np.subtract(stored, np.float32(self.zero), dtype=np.float32)
        values *= self.gain
        return values


def source_record(path: str | os.PathLike[str], file: Path, options: dict[str, Any]) -> dict[str, Any]:
    """`Signal.source` of a file: its path as the user gave it, size, time, SHA-256, and non-default loader options."""
    return {"path": str(path), **file_state(file), "sha256": file_digest(file), "options": options}


def resample_axis(values: np.ndarray, axis: int, side: int) -> np.ndarray:
    """Resample `values` to `side` samples along one axis: means over cells of equal length, float32.

    Each old sample counts by the part of it that lies in a cell.
    """
    n = values.shape[axis]
    total = np.concatenate(
        [np.zeros_like(values.take([0], axis), dtype=np.float64), values.cumsum(axis, dtype=np.float64)], axis=axis
    )
    edges = np.linspace(0, n, side + 1)
    index = np.minimum(edges.astype(int), n - 1)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    at_edges = total.take(index, axis) + (edges - index).reshape(shape) * values.take(index, axis)
    return (np.diff(at_edges, axis=axis) * (side / n)).astype(np.float32)
