"""Batches: every measurement once an epoch, spread, in order, and a pure function of their arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import sampling
from scenes.sampling import StratifiedSampler, draw_held_out, true_indices

sizes = st.integers(1, 3000)
counts = st.integers(1, 4000)
seeds = st.integers(-5, 2**64)
epochs = st.integers(0, 2**40)


@given(sizes, counts, seeds, epochs)
@settings(max_examples=60, deadline=None)
def test_an_epoch_has_every_measurement_once(total: int, count: int, seed: int, epoch: int):
    sampler = StratifiedSampler(total)
    steps = -(-total // count)
    batches = [sampler.indices(epoch * steps + turn, count, seed) for turn in range(min(steps, 3000))]
    assert all(len(batch) <= count for batch in batches)
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(total))


@given(sizes, counts, seeds, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_sorted_and_has_one_of_each_run(total: int, count: int, seed: int, step: int):
    run = -(-total // count)
    batch = StratifiedSampler(total).indices(step, count, seed)
    assert np.array_equal(batch // run, np.arange(len(batch)))
    assert len(batch) in (-(-total // run), -(-total // run) - 1)


@given(sizes, counts, seeds, st.lists(st.integers(0, 500), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_was_drawn_before_does_not_matter(total: int, count: int, seed: int, steps: list[int]):
    used = StratifiedSampler(total)
    for step in steps:
        assert np.array_equal(used.indices(step, count, seed), StratifiedSampler(total).indices(step, count, seed))


def test_seeds_and_epochs_differ():
    sampler = StratifiedSampler(10_000)
    first = sampler.indices(0, 1000, 0)
    assert not np.array_equal(first, sampler.indices(0, 1000, 1))
    assert not np.array_equal(first, sampler.indices(10, 1000, 0))


def test_offsets_are_uniform():
    """Chi-squared of 100,000 offsets in 10 places; 27.9 is exceeded once in a thousand."""
    offsets = StratifiedSampler(1_000_000).indices(0, 100_000, 3) % 10
    counts = np.bincount(offsets, minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9


def test_stored_sequence():
    """A resumed run draws what the uninterrupted one would have drawn, whatever numpy's version."""
    assert StratifiedSampler(100).indices(123, 10, 7).tolist() == GOLDEN


GOLDEN = [6, 12, 25, 36, 44, 52, 68, 75, 88, 98]


@pytest.mark.parametrize("step, count", [(-1, 10), (0, 0)])
def test_impossible_batches(step: int, count: int):
    with pytest.raises(ValueError, match="step >= 0 and count >= 1"):
        StratifiedSampler(10).indices(step, count, 0)


@given(st.integers(0, 5000), st.floats(0.01, 0.99), seeds)
@settings(max_examples=30, deadline=None)
def test_withheld_share(total: int, share: float, seed: int):
    held = draw_held_out(total, share, seed)
    assert held.shape == (total,) and np.array_equal(held, draw_held_out(total, share, seed))
    assert abs(held.sum() - total * share) <= 5 * np.sqrt(total * share * (1 - share)) + 1


def test_withheld_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch):
    whole = draw_held_out(1000, 0.3, 5)
    monkeypatch.setattr(sampling, "CHUNK_SAMPLES", 64)
    assert np.array_equal(draw_held_out(1000, 0.3, 5), whole)
    assert np.array_equal(true_indices(whole), np.flatnonzero(whole))
