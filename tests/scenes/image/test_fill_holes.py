"""Holes of an image are filled with a smooth guess."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes.image.holes import fill_holes


@given(st.integers(1, 33), st.integers(1, 33), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_known_pixels_are_kept_and_the_others_lie_within_their_range(height: int, width: int, seed: int):
    generator = np.random.default_rng(seed)
    values = generator.random((height, width, 2), np.float32)
    known = generator.random((height, width)) < 0.3
    known.reshape(-1)[generator.integers(known.size)] = True
    filled = fill_holes(np.where(known[..., None], values, np.nan), known)
    assert filled.dtype == np.float32 and np.array_equal(filled[known], values[known])
    lowest, highest = values[known].min(axis=0), values[known].max(axis=0)
    assert (filled >= lowest - 1e-6).all() and (filled <= highest + 1e-6).all()


def test_a_hole_in_a_gradient_is_interpolated():
    slope = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(64, axis=0)
    known = np.ones((64, 64), bool)
    known[16:48, 16:48] = False
    filled = fill_holes(slope, known)
    assert np.abs(filled - slope).max() < 0.15 and np.abs(np.diff(filled[..., 0], axis=1)).max() < 0.12
