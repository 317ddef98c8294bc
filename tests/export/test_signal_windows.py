"""Windows of signals beside those of their fields, the error at samples, and tone curves of linear light."""

import numpy as np
import pytest
import torch

from fields.export.signal_windows import SignalWindows
from fields.kinds import viewer_for
from fields.models.field import PointField
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.color import Tone, tone_map
from scenes.image.signal import Image
from scenes.video.signal import Video
from scenes.volume.signal import Volume

WHOLE = (0.0, 0.0, 1.0, 1.0)
random = np.random.default_rng(0)


class SampleField(PointField):
    """The signal's own samples, each in its cell, plus an offset."""

    def __init__(self, signal, values, offset):
        super().__init__(signal.domain, signal.channels)
        self.values = torch.nn.Parameter(torch.from_numpy(values + np.float32(offset)), requires_grad=False)

    def forward(self, coords):
        shape = self.values.shape[:-1][::-1]
        index = [(coords[..., axis] * n).long().clamp(0, n - 1) for axis, n in enumerate(shape)]
        return self.values[tuple(index[::-1])]


def windows(signal, offset=0.0):
    return SignalWindows(viewer_for(signal.kind, SampleField(signal, signal.values(), offset)), signal)


def voxels():
    """Values in the middle of their range, so that an offset is not clipped."""
    made = random.integers(40, 200, (9, 21, 33), np.uint8)
    made[0, 0, :2] = 0, 255
    return made


SIGNALS = {
    "image": lambda: Image.from_array(random.integers(0, 200, (21, 33, 3), np.uint8)),
    "video": lambda: Video.from_array(random.integers(0, 200, (5, 21, 33, 3), np.uint8)),
    "volume": lambda: Volume.from_array(voxels()),
    "audio": lambda: Audio.from_array(random.uniform(-0.5, 0.5, 3000), 8000),
}


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("box, size", [(WHOLE, (7, 5)), (WHOLE, (200, 150)), ((0.4, 0.3, 0.55, 0.62), (40, 60))])
def test_a_field_that_is_its_signal_has_no_error_in_any_window(kind, box, size):
    seen = windows(SIGNALS[kind]())
    error = seen.error(box, *size, position=0.3, gain=1000)
    assert error.shape[:2] == size[::-1]
    if kind == "audio":
        silence = seen.viewer.drawn(np.zeros((size[0], 8, 1), np.float32), size[1])
        assert np.array_equal(error, silence)
    else:
        assert not error.any()


@pytest.mark.parametrize("kind, axis", [("image", "z"), ("video", "z"), ("volume", "x"), ("volume", "y")])
def test_an_error_is_drawn_gain_times_as_large(kind, axis):
    seen = windows(SIGNALS[kind](), offset=8 / 255)
    error = seen.error((0.1, 0.2, 0.9, 0.7), 30, 20, axis=axis, gain=10)
    values = np.unique(error)
    assert set(values) <= {70, 80, 90, 100} and 80 in values


@pytest.mark.parametrize(
    "kind, axis", [("image", "z"), ("video", "z"), ("volume", "x"), ("volume", "y"), ("volume", "z")]
)
def test_a_signal_is_shown_as_its_viewer_shows_a_field_with_the_same_samples(kind, axis):
    seen = windows(SIGNALS[kind]())
    columns, rows, _ = seen._grid(axis)
    for box, size in (
        (WHOLE, (columns, rows)),
        (WHOLE, (3 * columns, 3 * rows)),
        ((1 / 3, 1 / 3, 2 / 3, 2 / 3), (columns, rows)),
    ):
        field = seen.viewer.window(box, *size, position=0.41, axis=axis)
        assert np.array_equal(seen.window(box, *size, position=0.41, axis=axis), field)


def test_a_reduced_signal_is_averaged():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[::2] = 200
    seen = windows(Image.from_array(pixels)).window(WHOLE, 8, 8)
    assert np.abs(seen.astype(int) - 100).max() <= 1


def test_a_sample_is_told_with_the_field_beside_it():
    signal = SIGNALS["video"]()
    fitted, found = windows(signal, offset=0.25).sample(0.5, 0.99, position=0.31)
    assert np.allclose(fitted, signal.values()[1, 20, 16]) and np.allclose(found, fitted + 0.25)
    with pytest.raises(BadInput, match="no sample"):
        windows(signal).sample(1.2, 0.5)


@pytest.mark.parametrize("curve", ["reinhard", "filmic", "srgb"])
def test_tone_curves_rise_from_black_to_white_and_follow_the_exposure(curve):
    light = np.array([0, 1e-3, 0.18, 1, 4, 1e30], np.float32)
    shown = Tone(0, curve).apply(light)
    assert shown[0] == pytest.approx(0, abs=1e-3) and shown[-1] == pytest.approx(1, abs=2e-3)
    assert (np.diff(shown) >= 0).all()
    assert np.allclose(Tone(2, curve).apply(light[:4]), Tone(0, curve).apply(4 * light[:4]), atol=1e-6)
    if curve == "reinhard":
        assert np.array_equal(shown, tone_map(light))


def test_other_tones_are_refused():
    for exposure, curve in ((float("nan"), "srgb"), (20, "srgb"), (0, "sepia")):
        with pytest.raises(BadInput):
            Tone(exposure, curve)  # pyright: ignore[reportArgumentType]
