"""Videos: formats, frame times, held-out frames, and what is refused."""

import numpy as np
import pytest
from PIL import Image

import scenes
from scenes.errors import BadInput
from scenes.video.signal import Video, open_video
from scenes.video.write import write_video


def moving_square(count: int = 6, height: int = 32, width: int = 48) -> np.ndarray:
    """A light square that moves to the right on a grey gradient, `[T, H, W, 3]` uint8."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:] = np.linspace(20, 120, width).astype(np.uint8)[None, None, :, None]
    for index in range(count):
        frames[index, 8:20, 4 + 5 * index : 14 + 5 * index] = (230, 180, 60)
    return frames


@pytest.mark.parametrize(("name", "tolerance"), [("a.mp4", 12), ("a.webm", 14), ("a.mkv", 12), ("a.gif", 20), ("a", 0)])
def test_every_format_is_recognised_and_keeps_its_frames(tmp_path, name, tolerance):
    write_video(tmp_path / name, moving_square(), 10.0)
    video = scenes.load(tmp_path / name)
    assert video.kind == "video" and video.domain.shape == (48, 32, 6)
    assert video.rate == pytest.approx(24 if name == "a" else 10, rel=0.01)
    assert np.abs(video.stored.astype(int) - moving_square().astype(int)).mean() <= tolerance / 2
    assert video.evenly_spaced


def test_frames_of_a_folder_are_ordered_by_their_numbers(tmp_path):
    for number in (10, 9, 1):
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(tmp_path / f"f{number}.png")
    video = open_video(tmp_path, rate=5.0)
    assert video.stored[:, 0, 0, 0].tolist() == [1, 9, 10] and video.rate == 5.0


def test_samples_have_the_coordinates_of_their_pixels():
    video = Video.from_array(moving_square())
    coords, values = video.batch(0, video.num_samples, 0)
    x, y, t = (np.floor(coords[:, axis] * n).astype(int) for axis, n in enumerate((48, 32, 6)))
    np.testing.assert_allclose(values * 255, moving_square()[t, y, x], atol=1e-3)


def test_held_out_frames_are_evenly_spread_and_never_drawn():
    video = Video.from_array(moving_square(9), held_out=0.5)
    assert video.held_out_frames.tolist() == [1, 3, 5, 7]
    drawn = np.floor(video.batch(0, video.num_samples, 0)[0][:, 2] * 9).astype(int)
    assert set(drawn.tolist()) == {0, 2, 4, 6, 8}
    assert len(drawn) == 5 * 32 * 48
    with pytest.raises(BadInput, match="leaves none"):
        Video.from_array(moving_square(2), held_out=0.1)


def test_a_gif_with_a_variable_frame_rate_keeps_its_timing(tmp_path):
    images = [Image.fromarray(frame) for frame in moving_square(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 100, 600, 200])
    video = open_video(tmp_path / "a.gif")
    np.testing.assert_allclose(video.times, [0.05, 0.15, 0.5, 0.9], atol=1e-3)
    assert "variable frame rate" in video.notes[-1] and not video.evenly_spaced
    coords, _ = video.batch(0, video.num_samples, 0)
    np.testing.assert_allclose(np.unique(coords[:, 2]), video.times)


def test_a_film_with_a_variable_frame_rate_keeps_its_timing(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.options = {"bf": "0"}
        for index, time in enumerate((0, 100, 200, 900)):
            frame = av.VideoFrame.from_ndarray(moving_square()[index], format="rgb24")
            frame.pts, frame.time_base = time, __import__("fractions").Fraction(1, 1000)
            stream.codec_context.time_base = frame.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    video = open_video(tmp_path / "a.mkv")
    assert len(video.times) == 4 and not video.evenly_spaced
    steps = np.diff(video.times)
    assert steps[2] > 1.5 * steps[0]


def test_a_part_has_the_frames_and_times_of_the_whole(tmp_path):
    write_video(tmp_path / "a.mp4", moving_square(10), 10.0)
    part = open_video(tmp_path / "a.mp4", part=(0.3, 0.6))
    assert part.domain.shape[2] == 3
    assert part.domain.axes[2].lower == 0.3
    whole = open_video(tmp_path / "a.mp4")
    np.testing.assert_array_equal(part.stored, whole.stored[3:6])
    np.testing.assert_array_equal(scenes.reopen("video", part.source).stored, part.stored)


def test_refuses_frames_of_different_sizes(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "1.png")
    Image.new("RGB", (17, 16)).save(tmp_path / "2.png")
    with pytest.raises(BadInput, match="2.png is 17 x 16 and the first is 16 x 16"):
        scenes.load(tmp_path)


def test_names_a_frame_of_a_folder_that_is_cut_off_or_empty(tmp_path):
    write_video(tmp_path / "a", moving_square(3), 10.0)
    content = (tmp_path / "a" / "00002.png").read_bytes()
    for damaged in (content[: len(content) // 2], b""):
        (tmp_path / "a" / "00002.png").write_bytes(damaged)
        with pytest.raises(BadInput, match="00002.png"):
            scenes.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_refuses_files_that_are_cut_off_empty_or_no_video(tmp_path, name, rng=np.random.default_rng(0)):
    write_video(tmp_path / name, rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8), 10.0)
    content = (tmp_path / name).read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:40], b"not a video at all" * 30):
        (tmp_path / f"b{name}").write_bytes(damaged)
        with pytest.raises(BadInput) as error:
            scenes.load(tmp_path / f"b{name}", "video")
        assert f"b{name}" in str(error.value)


def test_refuses_an_unknown_codec_of_a_video(tmp_path):
    write_video(tmp_path / "a.mp4", moving_square(), 10.0)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content.replace(b"avc1", b"zzz1"))
    with pytest.raises(BadInput, match="b.mp4"):
        scenes.load(tmp_path / "b.mp4")


def test_refuses_folders_audio_and_arrays_that_are_no_video(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        scenes.load(tmp_path)
    with pytest.raises(BadInput, match="holds no images"):
        scenes.load(tmp_path, "video")
    from scenes.audio.write import write_audio

    write_audio(tmp_path / "a.wav", np.sin(np.arange(800) / 9)[:, None].astype(np.float32), 8000)
    with pytest.raises(BadInput, match="no video track"):
        scenes.load(tmp_path / "a.wav", "video")
    for array in (np.zeros((3, 4, 5, 3)), np.zeros((0, 4, 5, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)):
        with pytest.raises(BadInput):
            Video.from_array(array)


def test_refuses_more_pixels_than_the_limit(tmp_path):
    write_video(tmp_path / "a.mp4", moving_square(20), 10.0)
    with pytest.raises(BadInput, match="`max_pixels="):
        open_video(tmp_path / "a.mp4", max_pixels=48 * 32 * 12)


def test_still_gifs_are_pictures(tmp_path):
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "one.gif")
    assert scenes.recognise(tmp_path / "one.gif")[0] == "image"


def test_refuses_names_and_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for name in ("a.xyz", "missing/a.mp4", "full", "missing/frames"):
        with pytest.raises(BadInput):
            write_video(tmp_path / name, moving_square(), 10.0)
