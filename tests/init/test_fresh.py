"""FreSh: spectra, their distance, and the choice of a frequency."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.fit.fresh import apply_fresh, save_spectra
from fields.init.fresh import choose
from fields.init.spectrum import centroid, diagonal_spectrum, spectral_distance
from fields.methods.registry import make_method, method_class, method_names
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.grid_signal import resample_axis
from scenes.image.signal import Image
from scenes.video.signal import Video
from scenes.volume.signal import Volume


def wave(n, kx, ky):
    y, x = np.mgrid[0:n, 0:n] / n
    return torch.from_numpy(np.cos(2 * np.pi * (kx * x + ky * y))[None])


@given(st.lists(st.floats(0, 10), min_size=3, max_size=20), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_distance_equals_scipys(weights, seed):
    a = torch.tensor(weights, dtype=torch.float64) + 1e-3
    b = torch.rand(len(a), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 1e-3
    expected = scipy.stats.wasserstein_distance(np.arange(len(a)), np.arange(len(a)), a.numpy(), b.numpy())
    assert spectral_distance(a, b) == pytest.approx(expected, abs=1e-6)


def test_a_quadrant_has_a_wave_in_the_bin_of_its_indices_and_not_its_mirror_image():
    spectrum = diagonal_spectrum(wave(130, 3, 4), 64)
    assert spectrum[6] > 0.99 * spectrum.sum()
    assert diagonal_spectrum(wave(130, 3, -4), 64).sum() < 0.01 * spectrum.sum()


def test_half_of_the_plane_has_waves_of_both_slants():
    for ky in (4, -4):
        spectrum = diagonal_spectrum(wave(130, 3, ky), 64, "half_l1")
        assert spectrum[6] > 0.99 * spectrum.sum()
        assert spectrum[6] == pytest.approx(
            float(diagonal_spectrum(wave(130, 3, 4), 64)[6]), rel=1e-4
        )  # and it is counted once


def test_the_choice_uses_the_requested_kind_of_spectrum():
    def slants(value, seed, shape):
        return wave(shape[0], int(value), -4) + 0.1 * wave(shape[0], 40 - int(value), 4)

    assert choose(wave(130, 20, -4) + 0.1 * wave(130, 10, 4), [10, 20, 30], slants, spectrum="half_l1").value == 20
    assert choose(wave(130, 20, -4) + 0.1 * wave(130, 10, 4), [10, 20, 30], slants).nearest == 30


def test_a_cyclic_shift_does_not_change_the_spectrum():
    values = torch.rand(2, 66, 66, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        diagonal_spectrum(values, 32), diagonal_spectrum(values.roll((5, 9), (1, 2)), 32), rtol=1e-4, atol=1e-3
    )


def test_a_wave_in_space_lies_in_the_bin_of_its_indices():
    axis = torch.arange(34) / 34
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    spectrum = diagonal_spectrum(torch.cos(2 * torch.pi * (2 * x + y + 3 * z))[None], 16)
    assert spectrum[5] > 0.99 * spectrum.sum()
    spectrum = diagonal_spectrum(torch.cos(2 * torch.pi * (2 * x - y + 3 * z))[None], 16, "half_l1")
    assert spectrum[5] > 0.99 * spectrum.sum()


def test_refuses_more_bins_than_the_samples_allow():
    with pytest.raises(ValueError, match="130 samples"):
        diagonal_spectrum(torch.zeros(1, 128, 128), 64)


def fake_networks(value, seed, shape):
    """Noise whose mean frequency is `value`."""
    generator = torch.Generator().manual_seed(seed)
    return sum(
        wave(shape[0], k, 0) * torch.rand((), generator=generator)
        for k in range(max(1, int(value) - 3), int(value) + 4)
    )


@pytest.mark.parametrize("exhaustive", [False, True])
def test_the_value_with_the_nearest_spectrum_is_chosen(exhaustive):
    choice = choose(wave(130, 20, 0), list(range(2, 61, 2)), fake_networks, exhaustive=exhaustive)
    assert choice.value == choice.nearest == 20
    assert choice.remark is None
    assert (len(choice.tried) == 30) == exhaustive


def test_half_the_frequency_is_chosen_for_textures_and_the_last_candidate():
    choice = choose(wave(130, 60, 0), list(range(2, 31, 2)), fake_networks)
    assert (choice.nearest, choice.value) == (30, 14) and "last candidate" in choice.remark
    noise = torch.rand(1, 130, 130, generator=torch.Generator().manual_seed(0))
    choice = choose(noise, list(range(2, 61, 2)), fake_networks)
    assert (
        centroid(choice.target) > 32
        and "texture" in choice.remark
        and choice.value == pytest.approx(choice.nearest / 2, abs=1)
    )


def test_half_frequency_gives_the_value_of_half_the_frequency():
    image = Image.from_array(np.zeros((256, 256), np.uint8))
    for name in ("hashgrid", "rbf"):
        method = make_method(name).prepare(image)
        for slow, fast in zip(method.frequency_candidates(), method.frequency_candidates()[2:]):  # they rise by sqrt(2)
            assert method.half_frequency(fast) == pytest.approx(slow)
    for name in ("frequency", "nerf", "triplane"):
        assert make_method(name).half_frequency(7) == 6
    finer = make_method("finer")
    assert (
        finer.half_frequency(2.5) == 1.0 and finer.half_frequency(0.2) == 0.0
    )  # 2 k + 1: from 6 to 3, and never below 1
    assert make_method("siren").half_frequency(60) == 30


def test_methods_get_half_the_nearest_frequency_for_a_texture():
    noise = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
    image = Image.from_array(noise)
    method = make_method("hashgrid", {"table_size": 1024, "width": 16}).prepare(image)
    _, report, _ = apply_fresh(method, image)

    def finest(growth):
        return 16 * growth ** (method.levels - 1)

    assert report["remark"] and finest(report["value"]) == pytest.approx(finest(report["nearest"]) / 2, rel=1e-3)
    method = make_method("frequency", {"width": 8}).prepare(image)
    _, report, _ = apply_fresh(method, image)
    assert report["remark"] and report["value"] == report["nearest"] - 1


def test_no_candidate_has_a_frequency_that_the_samples_cannot_show():
    x = torch.from_numpy((np.arange(256) + 0.5) / 256).float()[:, None]
    from fields.encoders.frequency import Frequency

    method = make_method("frequency")
    for octaves, shown in ((max(method.frequency_candidates()), True), (max(method.frequency_candidates()) + 1, False)):
        fastest = Frequency(1, octaves)(x)[:, octaves]  # the sine of the highest octave
        assert bool(fastest.std() > 0.5) == shown


def test_refuses_to_choose_the_growth_of_a_single_level(astronaut):
    image = Image.from_array(astronaut[::8, ::8])
    for name in ("hashgrid", "rbf"):
        with pytest.raises(BadInput, match=f"with these options {name} has no growth to choose"):
            apply_fresh(make_method(name, {"levels": 1, "growth": 2.0}).prepare(image), image)


def test_a_constant_image_keeps_the_default():
    method = make_method("siren").prepare(image := Image.from_array(np.full((140, 140, 3), 90, np.uint8)))
    chosen, report, choice = apply_fresh(method, image)
    assert chosen == method and choice is None and "constant" in report["remark"]


def test_a_frequency_is_chosen_for_every_method_that_has_one(tmp_path, astronaut):
    image = Image.from_array(astronaut[::8, ::8])
    small = {
        "siren": {"width": 8},
        "finer": {"width": 8},
        "wire": {"width": 8},
        "nerf": {"width": 8, "hidden_layers": 2},
        "frequency": {"width": 8},
        "fourier": {"width": 8, "frequencies": 8},
        "hashgrid": {"table_size": 256, "width": 16},
        "rbf": {"table_size": 256, "units": 16},
        "cam": {"width": 8, "frequencies": 8},
    }
    for name in small:
        method = make_method(name, small[name]).prepare(image)
        chosen, report, choice = apply_fresh(method, image)
        assert getattr(chosen, method.frequency_option) == report["value"]
        assert type(report["value"]) is type(getattr(method, method.frequency_option))
        assert report["nearest"] in method.frequency_candidates()
    assert set(small) <= {name for name in method_names() if method_class(name).frequency_option}
    save_spectra(choice, method.frequency_option, tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"


def test_refuses_an_image_with_too_few_samples(astronaut):
    image = Image.from_array(astronaut[:8, :80])
    with pytest.raises(BadInput, match="8 samples along an axis are too few"):
        apply_fresh(make_method("siren").prepare(image), image)


def test_refuses_methods_without_a_frequency_and_names_those_with_one(astronaut):
    image = Image.from_array(astronaut[::8, ::8])
    method = make_method("siren").prepare(image)
    object.__setattr__(method, "__class__", type("Other", (type(method),), {"frequency_option": None, "name": "other"}))
    with pytest.raises(BadInput, match="other has no frequency to choose; these have: .*siren"):
        apply_fresh(method, image)


@pytest.mark.parametrize("name", ["siren", "fourier", "finer", "nstr"])
def test_a_higher_tone_gets_higher_frequencies(name):
    options = {
        "siren": {"width": 16},
        "fourier": {"width": 16, "frequencies": 32},
        "finer": {"width": 16},
        "nstr": {"width": 16, "waves": 32},
    }[name]
    chosen = []
    for hertz in (150, 900):
        t = np.arange(8000) / 8000
        noise = np.random.default_rng(0).normal(size=8000) * 0.01
        audio = Audio.from_array((np.sin(2 * np.pi * hertz * t) + noise).astype(np.float32), 8000)
        chosen.append(apply_fresh(make_method(name, options).prepare(audio), audio)[1]["nearest"])
    assert chosen[0] < chosen[1]


def test_a_volume_with_finer_detail_gets_more_octaves():
    x = np.moveaxis(np.mgrid[0:32, 0:32, 0:32] / 32, 0, -1)
    method = make_method("triplane", {"width": 16, "resolution": 8, "features": 2, "hidden_layers": 2})
    chosen = []
    for cycles in (2, 9):
        volume = Volume.from_array(np.cos(2 * np.pi * cycles * x).mean(-1).astype(np.float32))
        chosen.append(apply_fresh(method.prepare(volume), volume)[1]["nearest"])
    assert chosen[0] < chosen[1]


def test_videos_and_volumes_are_resampled_to_a_grid():
    x = (np.arange(40) + 0.5) / 40
    volume = Volume.from_array(np.broadcast_to(np.cos(2 * np.pi * 3 * x), (20, 30, 40)).astype(np.float32))
    spectrum = diagonal_spectrum(torch.from_numpy(volume.on_grid(20)), 9)
    assert spectrum[2] > 0.99 * spectrum.sum()
    video = Video.from_array(np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None] * 10, (6, 8, 12, 3)))
    grid = video.on_grid(4)
    assert grid.shape == (3, 4, 4, 4) and np.allclose(grid[0, :, 0, 0] * 255, [10 / 3, 50 / 3, 100 / 3, 140 / 3])
    assert np.allclose(video.on_grid(12).mean((1, 2, 3)), 25 / 255, atol=1e-5)


def test_resampling_along_an_axis_keeps_the_mean():
    values = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    for side in (1, 3, 7, 20):
        assert np.allclose(resample_axis(values, 0, side).mean(0), values.mean(0), atol=1e-6)
    assert np.allclose(resample_axis(values, 0, 7), values, atol=1e-6)
