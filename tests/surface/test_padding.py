"""Unused texels are filled from the used ones around them."""

import numpy as np
import pytest

from fields.surface.padding import fill_unused


@pytest.mark.parametrize("shape", [(64, 64, 3), (37, 51, 3), (20, 30)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_covered_texels_stay_and_all_others_lie_between_them(shape, dtype):
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, shape).astype(dtype)
    covered = generator.random(shape[:2]) < 0.02
    texture[covered] = generator.integers(100, 120, texture[covered].shape).astype(dtype)
    filled = fill_unused(texture, covered)
    assert filled.dtype == dtype and filled.shape == shape and np.array_equal(filled[covered], texture[covered])
    assert filled.min() >= 100 - 1e-3 and filled.max() <= 120 + 1e-3


def test_two_halves_meet_in_the_middle():
    texture = np.zeros((32, 64, 1), np.float32)
    covered = np.zeros((32, 64), bool)
    covered[:, :8] = covered[:, -8:] = True
    texture[:, -8:] = 1
    row = fill_unused(texture, covered)[16, :, 0]
    assert np.allclose(row[:13], 0) and np.allclose(row[-13:], 1) and abs(row[31] + row[32] - 1) < 0.1
    assert (np.diff(row) >= -1e-6).all()


def test_nothing_and_everything_covered():
    texture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for covered in (np.zeros((2, 2), bool), np.ones((2, 2), bool)):
        assert np.array_equal(fill_unused(texture, covered), texture)
