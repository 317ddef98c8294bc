"""Values between the samples of a lattice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from scenes.audio.signal import Audio
from scenes.image.signal import Image
from scenes.lattice import CUBIC, TABLE_STEPS, WINDOWED_SINC, Lattice
from scenes.procedural import Waves
from scenes.signal import Signal
from scenes.video.frames import DecodedVideo
from scenes.video.signal import Video
from scenes.volume.signal import Volume


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def as_they_are(values: np.ndarray) -> np.ndarray:
    return np.array(values, np.float32)


def lattice_of(signal: Signal) -> Lattice:
    assert signal.lattice is not None
    return signal.lattice


def doubled(count: int) -> np.ndarray:
    """Positions of the samples of a lattice that is twice as fine, in table steps."""
    return np.repeat(np.arange(count) * TABLE_STEPS, 2) + np.tile([-TABLE_STEPS // 4, TABLE_STEPS // 4], count)


@pytest.mark.parametrize("shape", [(23, 31), (3, 2), (1, 5)])
def test_cubic_at_twice_the_size_is_pillows_bicubic(shape):
    pixels = random(*shape, 2)
    y, x = (axis.reshape(-1) for axis in np.meshgrid(doubled(shape[0]), doubled(shape[1]), indexing="ij"))
    found = Lattice(pixels, as_they_are, filters=(CUBIC, CUBIC)).interpolate([x, y])
    height, width = 2 * shape[0], 2 * shape[1]
    resized = (Pillow.fromarray(pixels[..., c]).resize((width, height), Pillow.Resampling.BICUBIC) for c in range(2))
    np.testing.assert_allclose(
        found.reshape(height, width, 2), np.stack([np.asarray(plane) for plane in resized], axis=-1), atol=2e-6
    )


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.sampled_from([CUBIC, WINDOWED_SINC]))
def test_filters_give_the_samples_themselves_and_keep_constants(shape, reconstruction):
    stored = random(*shape, 1)
    lattice = Lattice(stored, as_they_are, filters=(reconstruction,) * len(shape))
    places = [axis.reshape(-1) for axis in np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")][::-1]
    at_samples = lattice.interpolate([TABLE_STEPS * place for place in places])
    np.testing.assert_allclose(at_samples, stored.reshape(-1, 1), atol=1e-5)
    constant = Lattice(np.full((*shape, 1), 0.7, np.float32), as_they_are, filters=(reconstruction,) * len(shape))
    coords, values = constant.points(3, 50, 1)
    assert coords.shape == (len(values), len(shape)) and coords.min() >= 0 and coords.max() <= 1
    np.testing.assert_allclose(values, 0.7, atol=1e-5)


def test_windowed_sinc_follows_a_tone_of_four_fifths_of_the_nyquist_frequency():
    times = np.arange(400.0)
    sound = Audio.from_array(np.sin(0.8 * np.pi * times + 0.3), rate=400.0)
    coords, values = lattice_of(sound).points(0, 400, 0)
    inside = (coords[:, 0] > 0.05) & (coords[:, 0] < 0.95)
    exact = np.sin(0.8 * np.pi * (coords[:, 0].astype(np.float64) * 400 - 0.5) + 0.3) * float(sound.gain)
    assert np.abs(values[:, 0] - exact)[inside].max() < 0.03


def test_points_are_a_function_of_step_and_seed_and_lie_on_no_sample():
    image = Image.from_array((random(20, 30, 3) * 255).astype(np.uint8))
    first, again = lattice_of(image).points(7, 100, 1), lattice_of(image).points(7, 100, 1)
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], lattice_of(image).points(8, 100, 1)[0])
    assert not np.array_equal(first[0], lattice_of(image).points(7, 100, 2)[0])
    from_centre = first[0] * (30, 20) - 0.5
    assert np.abs(from_centre - np.round(from_centre)).min() > 0.02


def test_held_out_and_masked_samples_are_in_no_value():
    pixels = np.full((40, 40, 3), 100, np.uint8)
    mask = np.ones((40, 40), bool)
    mask[10:20, 10:30] = False
    pixels[~mask] = 255
    image = Image.from_array(pixels, mask=mask)
    coords, values = lattice_of(image).points(0, 1600, 0)
    assert 600 < len(values) < 1400
    np.testing.assert_allclose(values, 100 / 255, atol=1e-5)

    held_out = Image.from_array(pixels, held_out=0.1)
    assert held_out.lattice is None
    assert Volume.from_array(random(4, 4, 4), held_out=0.2).lattice is None


def test_points_of_a_video_lie_on_its_training_frames_whose_times_may_vary():
    frames = (random(6, 9, 8, 3) * 255).astype(np.uint8)
    starts = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0])
    video = Video(DecodedVideo(frames, starts), {"path": "array"}, np.array([2]))
    coords, values = lattice_of(video).points(0, 432, 0)
    assert set(coords[:, 2]) == set(video.times[video.training_frames])
    at_last = coords[:, 2] == video.times[5]
    alone = Image.from_array(frames[5])
    x, y = (np.round((coords[at_last, i] * n - 0.5) * TABLE_STEPS).astype(np.int64) for i, n in ((0, 8), (1, 9)))
    np.testing.assert_allclose(values[at_last], lattice_of(alone).interpolate([x, y]), atol=1e-6)


def test_hdr_values_stay_within_those_around_them():
    pixels = np.full((16, 16, 3), 0.1, np.float32)
    pixels[8, 8] = 1000.0
    values = lattice_of(Image.from_array(pixels, "linear")).points(0, 256, 0)[1]
    assert values.min() >= 0.1 - 1e-6 and 100 < values.max() <= 1000


def test_alpha_is_multiplied_in_before_samples_are_mixed():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 4:, 3] = 255
    values = lattice_of(Image.from_array(pixels)).points(0, 64, 0)[1]
    np.testing.assert_allclose(values[:, 0], values[:, 3], atol=1e-6)
    assert ((values[:, 3] > 0.05) & (values[:, 3] < 0.95)).any()


def test_signals_without_samples_on_a_grid_have_no_lattice():
    assert Waves((4, 4)).lattice is None
