"""Films at moments between the fitted frames: no confetti, and a field that joins its frames is left to itself."""

import numpy as np
import pytest
import torch

from fields.export.outputs.video import VideoOutput
from fields.export.request import RenderRequest
from fields.models.field import PointField
from fields.render.video_frame import FilmFrames, render_frame
from scenes.domain import Axis, Channels, Domain
from scenes.video.signal import Video

SIDE = 48


def moving_disc(count: int) -> np.ndarray:
    """Frames `[count, 48, 48, 3]` uint8 of a disc that moves over waves."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    frames = []
    for k in range(count):
        away = np.hypot(x - SIDE * (0.2 + 0.6 * (k + 0.5) / count), y - SIDE * (0.5 + 0.2 * np.sin(6 * k / count)))
        disc = np.clip(0.15 * SIDE - away + 0.5, 0, 1)[..., None]
        ground = np.stack([0.3 + 0.2 * np.sin(x / 5), 0.4 + 0.2 * np.cos(y / 7), 0.5 + 0 * x], axis=-1)
        frames.append(ground * (1 - disc) + disc * [0.9, 0.6, 0.2])
    return (np.stack(frames) * 255 + 0.5).astype(np.uint8)


def psnr(found, wanted):
    return -10 * np.log10(np.square(np.clip(found, 0, 1) - wanted).mean())


class Film(PointField):
    """A field over (x, y, t) whose brightness follows `value`."""

    def __init__(self, value, times=None, count=8):
        axes = Axis("x", 0, 16, "px", 16), Axis("y", 0, 8, "px", 8), Axis("t", 0.0, 0.8, "s", count, times)
        super().__init__(Domain(axes), Channels(("red", "green", "blue"), "srgb"))
        self.value = value
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, coords):
        return self.value(coords)[..., None].expand(*coords.shape[:-1], 3) + 0 * self.anchor


def joined(coords):
    return 0.5 + 0.3 * torch.sin(6 * coords[..., 0]) * coords[..., 2]


def torn(coords):
    """The same at the eight frames, and noise between them."""
    phase = coords[..., 2] * 8 - 0.5
    off = (phase - phase.round()).abs()
    return joined(coords) + torch.sin(900 * coords[..., 0] * coords[..., 1]) * off.clamp(max=0.2)


@pytest.mark.slow
def test_default_method_shows_no_confetti_half_way_between_the_frames_of_a_short_clip():
    from fields.fit.fit import prepare

    clip = Video.from_array(moving_disc(8), rate=10)
    trainer, _ = prepare(clip, "hashgrid", steps=100, settings={"batch": 4096})
    trainer.run()
    film, frames, times = FilmFrames(trainer.field), clip.stored / 255, clip.times
    half = [(times[k : k + 2].mean(), frames[k : k + 2].mean(axis=0)) for k in range(7)]
    between = np.mean([psnr(film.frame(float(time), SIDE, SIDE), wanted) for time, wanted in half])
    own = np.mean([psnr(render_frame(trainer.field, float(time), SIDE, SIDE), wanted) for time, wanted in half])
    on_frames = np.mean([psnr(film.frame(float(t), SIDE, SIDE), frame) for t, frame in zip(times, frames)])
    assert film.blended
    assert between > on_frames - 1 and between > own + 2
    for time in times:
        same = render_frame(trainer.field, float(time), SIDE, SIDE)
        np.testing.assert_array_equal(film.frame(float(time), SIDE, SIDE), same)


def test_a_field_that_joins_its_frames_is_left_to_itself():
    field = Film(joined)
    film = FilmFrames(field)
    assert not film.blended and not film.blends([0.5])
    np.testing.assert_array_equal(film.frame(0.5, 16, 8), render_frame(field, 0.5, 16, 8))


def test_frames_between_are_linear_blends_and_those_outside_are_the_first_and_last():
    field = Film(torn)
    film = FilmFrames(field)
    assert film.blended

    def own(index):
        return render_frame(field, (index + 0.5) / 8, 16, 8)

    np.testing.assert_allclose(film.frame((2.5 + 0.25) / 8, 16, 8), 0.75 * own(2) + 0.25 * own(3), atol=1e-6)
    np.testing.assert_array_equal(film.frame(0.0, 16, 8), own(0))
    np.testing.assert_array_equal(film.frame(1.0, 16, 8), own(7))
    # A part of another size is a blend of such parts.
    window = (0.25, 0.0, 0.5, 0.5)
    parts = [render_frame(field, time, 9, 5, window) for time in (2.5 / 8, 3.5 / 8)]
    np.testing.assert_allclose(film.frame(3 / 8, 9, 5, window), (parts[0] + parts[1]) / 2, atol=1e-6)


def test_frames_of_different_length_and_held_out_ones_are_known_to_the_field():
    uneven = Film(torn, times=(0.0625, 0.4375, 0.8125))
    film = FilmFrames(uneven)
    whole = [render_frame(uneven, time, 16, 8) for time in (0.4375, 0.8125)]
    np.testing.assert_allclose(film.frame(0.625, 16, 8), (whole[0] + whole[1]) / 2, atol=1e-6)
    video = Video.from_array(moving_disc(9), held_out=0.5)
    axis = video.domain.axes[2]
    assert axis.fitted == pytest.approx([(k + 0.5) / 9 for k in (0, 2, 4, 6, 8)])
    assert Domain.from_json(video.domain.to_json()) == video.domain
    even = Video.from_array(moving_disc(9)).domain
    assert even.axes[2].fitted is None and "fitted" not in even.to_json()["axes"][2]
    assert even.axes[2].fitted_coords[4] == 0.5


def test_one_frame_is_shown_at_every_moment():
    field = Film(joined, count=1)
    assert not FilmFrames(field).blended and FilmFrames(field).frame(0.2, 16, 8).shape == (8, 16, 3)


def test_rendering_says_where_moments_are_blends(tmp_path):
    report = VideoOutput(Film(torn)).render(tmp_path / "a.mp4", RenderRequest(rate=20))
    assert report["frames"] == 16 and any("blends of the two frames" in note for note in report["notes"])
    assert not VideoOutput(Film(torn)).render(tmp_path / "b.mp4", RenderRequest())["notes"]
    assert not VideoOutput(Film(joined)).render(tmp_path / "c.mp4", RenderRequest(rate=20))["notes"]
    report = VideoOutput(Film(torn)).render(tmp_path / "d.png", RenderRequest(time=0.3))
    assert any("blends" in note for note in report["notes"])
