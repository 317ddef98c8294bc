"""The first frequency of networks of sines, by the kind of signal."""

import numpy as np
import pytest

from fields.fit.fit import fit_field
from fields.methods.registry import make_method
from scenes.audio.signal import Audio
from scenes.image.signal import Image

IMAGE = Image.from_array(np.zeros((20, 20, 3), np.uint8))
AUDIO = Audio.from_array(np.sin(2 * np.pi * 660 * np.arange(8000) / 8000).astype(np.float32), 8000)


@pytest.mark.parametrize("name", ["siren", "finer"])
def test_audio_gets_a_hundred_times_the_frequency_of_images(name):
    assert make_method(name).prepare(IMAGE).first_omega == 30
    assert make_method(name).prepare(AUDIO).first_omega == 3000
    assert make_method(name, {"first_omega": 60}).prepare(AUDIO).first_omega == 60


def test_a_tone_is_learned_with_the_default_frequency_only():
    small = {"width": 32, "hidden_layers": 3, "batch": 4096}
    assert fit_field(AUDIO, "siren", steps=100, settings=small).metrics["snr"] > 1.5
    assert fit_field(AUDIO, "siren", steps=100, settings=small | {"first_omega": 30}).metrics["snr"] < 0.5
