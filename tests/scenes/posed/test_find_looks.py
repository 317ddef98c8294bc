"""Blurred pictures and doubles are told from pictures that only show something else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter1d

from scenes.posed.find_looks import MIN_COMPARED, look_at_picture, rejected, sharpness, shift_between


@pytest.fixture(scope="module")
def walk(astronaut):
    """Windows of a photograph, as of a camera that moves over it."""
    return [np.ascontiguousarray(astronaut[4 * i : 4 * i + 300, 9 * i : 9 * i + 320]) for i in range(MIN_COMPARED + 4)]


def reasons(pictures):
    return rejected([look_at_picture(picture) for picture in pictures], [f"p{i}" for i in range(len(pictures))])


def test_sharp_pictures_that_differ_all_stay(walk):
    assert reasons(walk) == {}


@pytest.mark.parametrize("axis", [0, 1])
def test_a_picture_blurred_by_motion_is_left_out(walk, axis):
    pictures = [*walk[:6], uniform_filter1d(walk[6], 7, axis=axis), *walk[7:]]
    found = reasons(pictures)
    assert list(found) == [6] and found[6].startswith("blurred: ")


def test_a_picture_out_of_focus_at_the_end_is_left_out(walk):
    assert list(reasons([*walk[:-1], gaussian_filter(walk[-1], (2, 2, 0))])) == [len(walk) - 1]


def test_of_few_pictures_none_is_left_out_as_blurred(walk):
    few = [*walk[: MIN_COMPARED - 2], gaussian_filter(walk[-1], (2, 2, 0))]
    assert reasons(few) == {}


def test_of_doubles_the_sharper_one_stays(walk):
    found = reasons([walk[0], gaussian_filter(walk[3], (0.5, 0.5, 0)), walk[6], walk[3], walk[9], walk[9]])
    assert found == {1: "nearly the same as p3", 5: "nearly the same as p4"}


def test_noise_does_not_hide_a_double(walk):
    noise = np.random.default_rng(0).normal(0, 5, walk[0].shape)
    noisy = np.clip(walk[0] + noise, 0, 255).astype(np.uint8)
    assert list(reasons([walk[0], noisy])) in ([0], [1])


def test_plain_pictures_can_be_doubles_and_other_sizes_cannot():
    plain = np.full((80, 90, 3), 120, np.uint8)
    assert shift_between(look_at_picture(plain), look_at_picture(plain)) == 0
    assert shift_between(look_at_picture(plain), look_at_picture(plain[:60])) == np.inf


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 1.0), st.floats(0.0, 60.0))
def test_sharpness_does_not_depend_on_contrast_and_brightness(factor, offset):
    gray = np.random.default_rng(1).uniform(0, 255, (64, 72)).astype(np.float32)
    assert sharpness(factor * gray + offset) == pytest.approx(sharpness(gray), rel=1e-3)


def test_a_picture_of_few_pixels_has_no_sharpness():
    assert sharpness(np.zeros((3, 40), np.float32)) == 0.0
