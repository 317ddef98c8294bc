"""Which measurements are seen: by a training step, and by none because they are withheld for scoring."""

from __future__ import annotations

import numpy as np

CHUNK = 1 << 20


class StratifiedSampler:
    """Draws from the measurements 0 .. `total` - 1.

    With K = ceil(total / count), the measurements are cut in order into runs of K. An epoch is K consecutive steps; in
    its step b, run g gives its measurement (offset[g] + b) mod K, the offsets coming from a counter-based generator
    keyed by (seed, epoch). So an epoch gives every measurement exactly once, each batch is spread evenly over all of
    them, and it comes in order, which is kind to caches and to memory-mapped files. A step costs O(count).

    Only the last run may be short, so a batch has ceil(total / K) measurements or one fewer.
    """

    def __init__(self, total: int):
        self.total = total
        self._remembered = ((), None)

    def indices(self, step: int, count: int, seed: int) -> np.ndarray:
        """The measurements of one step: `[n]` int64, increasing, n <= count. `step` >= 0, `count` >= 1."""
        if step < 0 or count < 1:
            raise ValueError(f"a batch wants step >= 0 and count >= 1, not step {step} and count {count}")
        run = -(-self.total // count)
        if run == 1:
            return np.arange(self.total)
        epoch, turn = divmod(step, run)
        offset = self._offsets(run, seed, epoch)
        within = offset + np.int64(turn)
        within -= np.int64(run) * (within >= run)
        within += np.arange(0, self.total, run)
        return within if within[-1] < self.total else within[:-1]

    def _offsets(self, run: int, seed: int, epoch: int) -> np.ndarray:
        """`[runs]` int64 in [0, run). Kept for the epoch; a pure function all the same."""
        key = (run, seed, epoch)
        remembered, offsets = self._remembered
        if remembered != key:
            runs = -(-self.total // run)
            # Raw words: numpy promises their sequence for ever, and that of its distributions only for a version.
            words = philox(seed, epoch).random_raw(runs)
            offsets = ((words >> np.uint64(32)) * np.uint64(run) >> np.uint64(32)).astype(np.int64)
            self._remembered = (key, offsets)
        return offsets


def draw_held_out(total: int, share: float, seed: int) -> np.ndarray:
    """Which of `total` measurements to keep from training: bool `[total]`, each True with probability `share`.

    A pure function of its arguments; memory beyond the result does not grow with `total`.
    """
    generator = philox(seed, 2**64 - 1)  # a stream that no epoch has
    limit = np.uint32(min(share * 2**32, 2**32 - 1))
    held = np.empty(total, bool)
    for start in range(0, total, CHUNK):
        part = held[start : start + CHUNK]
        part[:] = generator.random_raw(-(-len(part) // 2)).view(np.uint32)[: len(part)] < limit
    return held


def true_indices(chosen: np.ndarray) -> np.ndarray:
    """The indices of the True in bool `[total]`, increasing, uint32 where that suffices; no large temporaries."""
    dtype = np.uint32 if len(chosen) <= 2**32 else np.int64
    found = np.empty(np.count_nonzero(chosen), dtype)
    end = 0
    for start in range(0, len(chosen), CHUNK):
        part = np.flatnonzero(chosen[start : start + CHUNK])
        found[end : end + len(part)] = part + start
        end += len(part)
    return found


def philox(seed: int, stream: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))
