"""Audio: formats, samples, held-out samples, and what is refused."""

import numpy as np
import pytest
import soundfile

import scenes
from scenes.audio.signal import Audio, open_audio
from scenes.audio.write import write_audio
from scenes.errors import BadInput

RATE = 8000


def tone(count: int = 4000, channels: int = 1, level: float = 0.3) -> np.ndarray:
    time = np.arange(count)[:, None] / RATE
    return (level * np.sin(2 * np.pi * (440 + 110 * np.arange(channels)) * time)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "channels"), [("a.wav", 1), ("a.wav", 2), ("a.flac", 2), ("a.ogg", 1), ("a.aiff", 1), ("a.mp3", 1)]
)
def test_every_format_is_recognised_and_keeps_its_samples(tmp_path, name, channels):
    write_audio(tmp_path / name, tone(channels=channels), RATE)
    audio = scenes.load(tmp_path / name)
    lossy = name.endswith(("ogg", "mp3"))
    assert audio.kind == "audio" and len(audio.channels) == channels and audio.rate == RATE
    assert abs(audio.num_samples - 4000) <= (2000 if name.endswith("mp3") else 0)
    amplitudes = audio.values() * audio.channels.upper
    assert np.abs(audio.values()).max() == pytest.approx(1.0)
    if not name.endswith("mp3"):
        np.testing.assert_allclose(amplitudes, tone(channels=channels), atol=0.05 if lossy else 1e-4)


def test_float_wav_is_exact_beyond_full_scale(tmp_path):
    loud = tone(level=3.0)
    soundfile.write(tmp_path / "a.wav", loud, RATE, subtype="FLOAT")
    audio = open_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(audio.values() * audio.channels.upper, loud, rtol=1e-6)


def test_an_epoch_gives_every_sample_once_at_its_time():
    audio = Audio.from_array(np.arange(1, 1001, dtype=np.int16), RATE)
    steps = [audio.batch(step, 100, seed=3) for step in range(10)]
    coords = np.concatenate([coords for coords, _ in steps])[:, 0]
    values = np.concatenate([values for _, values in steps])[:, 0]
    order = np.argsort(coords)
    np.testing.assert_allclose(coords[order], (np.arange(1000) + 0.5) / 1000, atol=1e-6)
    np.testing.assert_allclose(values[order], np.arange(1, 1001) / 1000, rtol=1e-6)
    again = audio.batch(7, 100, seed=3)
    np.testing.assert_array_equal(again[0], steps[7][0])


def test_held_out_samples_are_never_drawn():
    audio = Audio.from_array(tone(), RATE, held_out=0.1)
    held = np.concatenate([coords for coords, _ in audio.held_out_samples()])[:, 0]
    drawn = np.concatenate([audio.batch(step, 1000, 0)[0] for step in range(10)])[:, 0]
    assert 300 < len(held) < 500
    assert not set(held.tolist()) & set(drawn.tolist())
    assert len(set(held.tolist()) | set(drawn.tolist())) == 4000


def test_a_part_has_the_samples_and_times_of_the_whole(tmp_path):
    write_audio(tmp_path / "a.wav", tone(), RATE)
    whole, part = open_audio(tmp_path / "a.wav"), open_audio(tmp_path / "a.wav", part=(0.1, 0.2))
    np.testing.assert_array_equal(part.stored, whole.stored[800:1600])
    assert (part.domain.axes[0].lower, part.domain.axes[0].upper) == (0.1, 0.2)
    again = scenes.reopen("audio", part.source)
    np.testing.assert_array_equal(again.stored, part.stored)
    with pytest.raises(BadInput, match="outside"):
        open_audio(tmp_path / "a.wav", part=(9, 10))


def test_the_preview_shows_a_tone_at_its_frequency():
    shown = Audio.from_array(tone(16000), RATE).preview()
    light = shown.astype(int).sum(axis=2).mean(axis=1)
    assert shown.shape == (256, 1024, 3)
    assert abs((255 - np.argmax(light)) / 256 - 440 / 4000) < 0.02


def _cut(tmp_path, name):
    write_audio(tmp_path / name, tone(80000), RATE)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_refuses_files_that_are_cut_off(tmp_path, name):
    _cut(tmp_path, name)
    with pytest.raises(BadInput, match="cut off|cannot be read"):
        scenes.load(tmp_path / name)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(100, np.float32), "constant"),
        (np.full(100, 0.25, np.float32), "constant"),
        (np.zeros((0, 2), np.float32), "no samples"),
        (np.full(9, np.nan, np.float32), "constant"),
        (np.zeros((2, 2, 2), np.float32), "not audio"),
        (np.zeros(5, np.int64), "not audio"),
    ],
)
def test_refuses_arrays_that_are_no_audio_or_hold_nothing_to_fit(samples, message):
    with pytest.raises(BadInput, match=message):
        Audio.from_array(samples, RATE)


def test_refuses_files_that_are_no_audio(tmp_path):
    for name, content in (
        ("empty.wav", b""),
        ("text.wav", b"this is not a sound, is it?" * 9),
        ("head.wav", b"RIFF\0\0\0\0WAVE"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput) as error:
            scenes.load(tmp_path / name)
        assert name in str(error.value)
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(BadInput, match="no samples"):
        scenes.load(tmp_path / "none.wav")


def test_refuses_an_unknown_codec(tmp_path):
    write_audio(tmp_path / "a.wav", tone(), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[20:22] = (0x0161).to_bytes(2, "little")  # Windows Media Audio
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read as audio"):
        scenes.load(tmp_path / "a.wav")


def test_writing_clips_loud_values_and_refuses_rates_a_format_does_not_have(tmp_path):
    assert "louder" in write_audio(tmp_path / "a.wav", tone(level=2.0), RATE)[0]
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0]).max() <= 1.0
    for name, rate in (("a.xyz", RATE), ("a.opus", 44100), ("a.flac", 768000), ("missing/a.wav", RATE)):
        with pytest.raises(BadInput):
            write_audio(tmp_path / name, tone(), rate)
