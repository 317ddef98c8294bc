"""Which measurements a training step sees: stratified, without replacement, and a pure function of (step, seed)."""

from __future__ import annotations

import numpy as np


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
            # Raw words, because numpy promises their sequence for ever and that of its distributions only for a version.
            words = np.random.Philox(key=[seed % 2**64, epoch]).random_raw(runs)
            offsets = ((words >> np.uint64(32)) * np.uint64(run) >> np.uint64(32)).astype(np.int64)
            self._remembered = (key, offsets)
        return offsets
