"""The first frequency of networks of sines, by the kind of signal."""

import numpy as np
import pytest

from fields.fit.fit import fit_field
from fields.methods.registry import make_method
from scenes.audio.signal import Audio
from scenes.image.signal import Image


def option(name, signal, settings, wanted):
    """An option that a method decides for a signal."""
    return make_method(name, settings).prepare(signal).model_dump()[wanted]


IMAGE = Image.from_array(np.zeros((20, 20, 3), np.uint8))
AUDIO = Audio.from_array(np.sin(2 * np.pi * 660 * np.arange(8000) / 8000).astype(np.float32), 8000)


def waves(cycles):
    """An image of 128 x 128 pixels of waves along both axes."""
    along = np.sin(2 * np.pi * cycles * (np.arange(128) + 0.5) / 128)
    return Image.from_array((0.5 + 0.25 * (along[:, None] + along[None]))[..., None].astype(np.float32), "srgb")


@pytest.mark.parametrize(("name", "times"), [("siren", 4.0), ("finer", 2.0)])
def test_images_get_a_frequency_by_their_spectrum(name, times):
    detailed = option(name, waves(15), {}, "first_omega")
    assert detailed == pytest.approx(times * 15, abs=2)
    assert option(name, waves(3), {}, "first_omega") == 30
    noise = Image.from_array(np.random.default_rng(0).random((256, 256, 1)).astype(np.float32), "srgb")
    assert option(name, noise, {}, "first_omega") == pytest.approx(times * 30.4)
    assert option(name, noise, {"width": 64}, "first_omega") == pytest.approx(times * 15.2)


def test_wide_networks_have_lower_rates():
    rates = [option("siren", IMAGE, {"width": width}, "learning_rate") for width in (32, 64, 128, 256)]
    assert rates == [1e-3, 1e-3, 6.3e-4, 4e-4]
    assert option("siren", IMAGE, {"learning_rate": 2e-3}, "learning_rate") == 2e-3


@pytest.mark.parametrize("name", ["siren", "finer"])
def test_audio_gets_a_hundred_times_the_frequency_of_images(name):
    assert option(name, IMAGE, {}, "first_omega") == 30
    assert option(name, AUDIO, {}, "first_omega") == 3000
    assert option(name, AUDIO, {"first_omega": 60}, "first_omega") == 60


def test_a_tone_is_learned_with_the_default_frequency_only():
    small = {"width": 32, "hidden_layers": 3, "batch": 4096}
    assert fit_field(AUDIO, "siren", steps=100, settings=small).metrics["snr"] > 1.5
    assert fit_field(AUDIO, "siren", steps=100, settings=small | {"first_omega": 30}).metrics["snr"] < 0.5
