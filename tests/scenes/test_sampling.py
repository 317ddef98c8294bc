"""Sampling: every index once per epoch, evenly spread, in order, and a pure function of its arguments."""

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
def test_an_epoch_gives_every_index_once(total: int, count: int, seed: int, epoch: int):
    sampler = StratifiedSampler(total)
    steps = -(-total // count)
    batches = [sampler.indices(epoch * steps + step, count, seed) for step in range(min(steps, 3000))]
    assert all(len(batch) <= count for batch in batches)
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(total))


@given(sizes, counts, seeds, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_batch_has_one_index_of_each_stratum_in_order(total: int, count: int, seed: int, step: int):
    stratum = -(-total // count)
    batch = StratifiedSampler(total).indices(step, count, seed)
    assert np.array_equal(batch // stratum, np.arange(len(batch)))
    assert len(batch) in (-(-total // stratum), -(-total // stratum) - 1)


@given(sizes, counts, seeds, st.lists(st.integers(0, 500), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_batch_does_not_depend_on_earlier_batches(total: int, count: int, seed: int, steps: list[int]):
    used = StratifiedSampler(total)
    for step in steps:
        assert np.array_equal(used.indices(step, count, seed), StratifiedSampler(total).indices(step, count, seed))


def test_batches_differ_between_seeds_and_epochs():
    sampler = StratifiedSampler(10_000)
    first = sampler.indices(0, 1000, 0)
    assert not np.array_equal(first, sampler.indices(0, 1000, 1))
    assert not np.array_equal(first, sampler.indices(10, 1000, 0))


def test_offsets_are_uniform():
    """Chi-squared of 100,000 offsets with 10 values; 27.9 is exceeded once in a thousand."""
    offsets = StratifiedSampler(1_000_000).indices(0, 100_000, 3) % 10
    counts = np.bincount(offsets, minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9


def test_the_sequence_equals_the_stored_one():
    """A resumed training draws what the uninterrupted one would have drawn, in any version of numpy."""
    assert StratifiedSampler(100).indices(123, 10, 7).tolist() == GOLDEN


GOLDEN = [6, 12, 25, 36, 44, 52, 68, 75, 88, 98]


@pytest.mark.parametrize("step, count", [(-1, 10), (0, 0)])
def test_refuses_negative_steps_and_empty_batches(step: int, count: int):
    with pytest.raises(ValueError, match="step >= 0 and count >= 1"):
        StratifiedSampler(10).indices(step, count, 0)


@given(st.integers(0, 5000), st.floats(0.01, 0.99), seeds)
@settings(max_examples=30, deadline=None)
def test_held_out_samples_are_about_the_fraction_and_follow_the_seed(total: int, fraction: float, seed: int):
    held = draw_held_out(total, fraction, seed)
    assert held.shape == (total,) and np.array_equal(held, draw_held_out(total, fraction, seed))
    assert abs(held.sum() - total * fraction) <= 5 * np.sqrt(total * fraction * (1 - fraction)) + 1


def test_held_out_samples_and_indices_do_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch):
    whole = draw_held_out(1000, 0.3, 5)
    monkeypatch.setattr(sampling, "CHUNK_SAMPLES", 64)
    assert np.array_equal(draw_held_out(1000, 0.3, 5), whole)
    assert np.array_equal(true_indices(whole), np.flatnonzero(whole))
