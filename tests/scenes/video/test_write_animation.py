"""GIF, WebP and PNG animations hold every frame, last as long as they should and repeat for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import scenes
from scenes.errors import BadInput
from scenes.video.signal import Video
from scenes.video.write import check_video_writable, frame_durations, write_video

ENDINGS = [".gif", ".webp", ".png", ".apng"]


def frames(count: int = 5) -> list[np.ndarray]:
    """A bright square that moves to the right over a grey ramp, `[32, 48, 3]` each."""
    made = []
    for index in range(count):
        frame = np.broadcast_to(np.arange(40, 136, 2, dtype=np.uint8)[None, :, None], (32, 48, 3)).copy()
        frame[8:24, 4 + 6 * index : 12 + 6 * index] = [250, 40, 40]
        made.append(frame)
    return made


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("rate", [5.0, 12.5, 24.0, 30.0])
def test_animations_are_read_back_with_their_frames_and_times(tmp_path: Path, ending: str, rate: float):
    path = tmp_path / f"a{ending}"
    assert write_video(path, iter(frames()), rate) == []
    kind, description = scenes.recognise(path)
    assert kind == "video" and description.endswith("of 5 frames")
    video = scenes.load(path)
    assert isinstance(video, Video) and video.domain.grid_shape == (48, 32, 5)
    assert np.abs(video.stored.astype(int) - np.stack(frames())).mean() < (0.01 if "png" in ending else 4)
    unit = 0.01 if ending == ".gif" else 0.001
    assert video.domain.axes[2].upper == pytest.approx(5 / rate, abs=unit)
    assert video.evenly_spaced or ending == ".gif"


@pytest.mark.parametrize("ending", ENDINGS)
def test_animations_repeat_for_ever_and_keep_the_time_of_equal_frames(tmp_path: Path, ending: str):
    write_video(tmp_path / f"a{ending}", [frames()[0], frames()[0], frames()[1]], 10.0)
    with Image.open(tmp_path / f"a{ending}") as opened:
        assert opened.info["loop"] == 0
    video = scenes.load(tmp_path / f"a{ending}")
    assert video.domain.axes[2].upper == pytest.approx(0.3)


@pytest.mark.parametrize(("ending", "shown"), [(".gif", 50), (".webp", 50), (".png", 50)])
def test_what_browsers_would_slow_down_is_said(tmp_path: Path, ending: str, shown: int):
    notes = write_video(tmp_path / f"a{ending}", frames(), 120.0)
    assert len(notes) == 1 and notes[0].endswith(f"shows {shown} frames per second, not 120")


@given(st.integers(1, 200), st.floats(0.5, 50), st.sampled_from([1, 10]))
def test_durations_add_up_to_the_length(count: int, rate: float, unit: int):
    durations = frame_durations(count, rate, unit)
    assert len(durations) == count and min(durations) >= 20
    assert sum(durations) == pytest.approx(1000 * count / rate, abs=unit / 2 + 1e-6)
    assert max(durations) - min(durations) <= unit


def test_other_endings_are_refused_with_those_that_are_written(tmp_path: Path):
    with pytest.raises(BadInput, match=r"\.bmp is not a format for videos; use \.mp4, .*\.gif, \.webp, \.png, \.apng"):
        check_video_writable(tmp_path / "a.bmp")
