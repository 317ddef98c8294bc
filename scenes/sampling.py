"""Which samples a training step draws, and which are held out for scoring."""

from __future__ import annotations

import numpy as np

from scenes.errors import BadInput

# Samples that are worked on at a time; bounds temporaries.
CHUNK_SAMPLES = 1 << 20
# Philox stream that chooses held-out samples. No epoch has this number.
HELD_OUT_STREAM = 2**64 - 1


class StratifiedSampler:
    """Draw indices from 0 .. `total` - 1 without replacement within an epoch, each batch spread evenly.

    With K = ceil(total / count), the indices are cut in order into strata of K. An epoch is K consecutive steps: in its
    step b, stratum g gives its index (offset[g] + b) mod K, where the offsets come from a counter-based generator keyed
    by (seed, epoch). So an epoch gives every index exactly once, and each batch is spread evenly and increasing, which
    is kind to caches and to memory-mapped files. A step costs O(count).

    Only the last stratum may be short, so a batch has ceil(total / K) indices or one fewer.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._offsets_key: tuple[int, int, int] | None = None
        self._offsets = np.zeros(0, np.int64)

    def indices(self, step: int, count: int, seed: int) -> np.ndarray:
        """The indices of one step: `[n]` int64, increasing, n <= `count`. A pure function of its arguments.

        Raises:
            ValueError: `step` is negative or `count` is less than 1.
        """
        if step < 0 or count < 1:
            raise ValueError(f"a batch needs step >= 0 and count >= 1, not step {step} and count {count}")
        size = -(-self.total // count)
        if size == 1:
            return np.arange(self.total)
        epoch, step_of_epoch = divmod(step, size)
        chosen = self._epoch_offsets(size, seed, epoch) + np.int64(step_of_epoch)
        chosen -= np.int64(size) * (chosen >= size)
        chosen += np.arange(0, self.total, size)
        return chosen if chosen[-1] < self.total else chosen[:-1]

    def _epoch_offsets(self, size: int, seed: int, epoch: int) -> np.ndarray:
        """Offsets of all strata of `size`, `[strata]` int64 in [0, size); cached for the epoch."""
        key = (size, seed, epoch)
        if self._offsets_key != key:
            strata = -(-self.total // size)
            # Raw words, because numpy promises their sequence for ever, and that of its distributions for one version.
            words = philox(seed, epoch).random_raw(strata)
            self._offsets = ((words >> np.uint64(32)) * np.uint64(size) >> np.uint64(32)).astype(np.int64)
            self._offsets_key = key
        return self._offsets


def check_held_out(fraction: float) -> None:
    """Raise BadInput where the option `held_out` is not in (0, 1)."""
    if not 0 < fraction < 1:
        raise BadInput(f"`held_out={fraction}`: give a fraction between 0 and 1, such as 0.1")


def held_out_mask(
    total: int, fraction: float, seed: int, *, name: str, valid: np.ndarray | None = None
) -> np.ndarray | None:
    """Held-out samples for the option `held_out`: bool `[total]`, or None for a fraction of 0.

    Args:
        total: number of samples.
        fraction: probability of each sample to be held out.
        seed: seed of the choice.
        name: name of the source, for messages.
        valid: bool `[total]`, the samples to choose from; None for all.

    Raises:
        BadInput: the fraction is not in [0, 1), or leaves nothing to fit or nothing to score.
    """
    if not fraction:
        return None
    check_held_out(fraction)
    held_out = draw_held_out(total, fraction, seed)
    if valid is not None:
        held_out &= valid
    left = np.count_nonzero(held_out) < (total if valid is None else np.count_nonzero(valid))
    if not left or not held_out.any():
        raise BadInput(
            f"{name}: `held_out={fraction}` of so few samples leaves none to {'score' if left else 'fit'}; "
            "give another fraction"
        )
    return held_out


def draw_held_out(total: int, fraction: float, seed: int) -> np.ndarray:
    """Choose held-out samples: bool `[total]`, each True with probability `fraction`.

    A pure function of its arguments. Memory beyond the result does not grow with `total`.
    """
    generator = philox(seed, HELD_OUT_STREAM)
    limit = np.uint32(min(fraction * 2**32, 2**32 - 1))
    held_out = np.empty(total, bool)
    for start in range(0, total, CHUNK_SAMPLES):
        chunk = held_out[start : start + CHUNK_SAMPLES]
        chunk[:] = generator.random_raw(-(-len(chunk) // 2)).view(np.uint32)[: len(chunk)] < limit
    return held_out


def true_indices(mask: np.ndarray) -> np.ndarray:
    """Indices of the True values of bool `[total]`, increasing; uint32 where that suffices, else int64.

    Like `np.flatnonzero`, without temporaries of the mask's size.
    """
    indices = np.empty(np.count_nonzero(mask), np.uint32 if len(mask) <= 2**32 else np.int64)
    end = 0
    for start in range(0, len(mask), CHUNK_SAMPLES):
        found = np.flatnonzero(mask[start : start + CHUNK_SAMPLES])
        indices[end : end + len(found)] = found + start
        end += len(found)
    return indices


def philox(seed: int, stream: int) -> np.random.Philox:
    """Counter-based bit generator keyed by (seed, stream)."""
    return np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))
