"""Sounds as people have them: lengths that headers do not give, sample formats, chains, surround, cut-off files."""

import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import scenes
from scenes.audio.signal import open_audio
from scenes.audio.speakers import from_ogg_order, to_ogg_order
from scenes.audio.write import write_audio
from scenes.errors import BadInput
from scenes.io.media_length import Unknown, announced_end

RATE = 16000
COUNT = 2 * RATE
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(COUNT) / RATE)).astype(np.float32)[:, None]


class Pipe:
    """A file that cannot seek, like the standard output of a program."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)


def encoded(file, form: str, codec: str, samples: np.ndarray = TONE, layout: str = "mono", rate: int = RATE) -> None:
    """Encode samples `[N, C]` with ffmpeg's libraries into a path or a pipe."""
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=stream.codec_context.frame_size or None)
        for part in (frame, None):
            for block in resampler.resample(part):
                container.mux(stream.encode(block))
        container.mux(stream.encode())


def piped(path, form: str, codec: str) -> bytes:
    pipe = Pipe()
    encoded(pipe, form, codec)
    path.write_bytes(pipe.content)
    return bytes(pipe.content)


def amplitudes(audio) -> np.ndarray:
    return audio.values() * audio.channels.upper


def assert_is_tone(audio, tolerance: float = 1e-3, count: int = COUNT) -> None:
    assert (audio.num_samples, audio.rate) == (count, pytest.approx(RATE))
    np.testing.assert_allclose(amplitudes(audio)[:COUNT], TONE[:count], atol=tolerance)


PIPES = [
    ("a.wav", "wav", "pcm_s16le"),
    ("a.w64", "w64", "pcm_s24le"),
    ("a.aiff", "aiff", "pcm_s16be"),
    ("a.au", "au", "pcm_s16be"),
    ("a.caf", "caf", "pcm_s16be"),
    ("a.flac", "flac", "flac"),
    ("a.wv", "wv", "wavpack"),
    ("a.mka", "matroska", "pcm_s16le"),
]


@pytest.mark.parametrize(("name", "form", "codec"), PIPES, ids=[name for name, _, _ in PIPES])
def test_sounds_from_a_pipe_are_read_whole_and_in_parts(tmp_path, name, form, codec):
    piped(tmp_path / name, form, codec)
    assert scenes.recognise(tmp_path / name)[0] == "audio"
    audio = open_audio(tmp_path / name)
    assert_is_tone(audio, 0.01 if codec == "wavpack" else 1e-3)  # this encoder has 8 bits
    part = open_audio(tmp_path / name, part=(0.5, 1.25))
    np.testing.assert_array_equal(part.stored, audio.stored[RATE // 2 : 5 * RATE // 4])
    assert (part.domain.axes[0].lower, part.domain.axes[0].upper) == (0.5, 1.25)
    with pytest.raises(BadInput, match="outside the audio"):
        open_audio(tmp_path / name, part=(3.0, 4.0))


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x7FFFFFDB])
def test_lengths_that_programs_write_to_pipes_are_no_lengths(tmp_path, length):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype="PCM_16")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(content)
    audio = open_audio(tmp_path / "a.wav")
    assert_is_tone(audio)
    assert "does not say how long it is" in audio.notes[0]


def test_a_length_that_is_merely_wrong_is_a_cut_off_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype="PCM_16")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 2 * COUNT + 1000)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BadInput, match="1,000 bytes .* are missing, and 32,000 samples are there, 2.00 s"):
        open_audio(tmp_path / "a.wav")


FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "DOUBLE"),
    ("WAV", "ALAW"),
    ("WAVEX", "PCM_16"),
    ("WAVEX", "FLOAT"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_S8"),
    ("AIFF", "PCM_24"),
    ("AIFF", "FLOAT"),
    ("AIFF", "ULAW"),
    ("AU", "PCM_16"),
    ("CAF", "ALAC_24"),
    ("FLAC", "PCM_24"),
]


@pytest.mark.parametrize(("form", "subtype"), FORMATS, ids=["-".join(pair) for pair in FORMATS])
def test_sample_formats_keep_their_values(tmp_path, form, subtype):
    soundfile.write(tmp_path / "sound", TONE, RATE, format=form, subtype=subtype)
    assert_is_tone(scenes.load(tmp_path / "sound"), 0.02 if subtype in ("PCM_U8", "PCM_S8", "ALAW", "ULAW") else 1e-4)


def test_little_endian_aiff_is_read(tmp_path):
    soundfile.write(tmp_path / "a.aiff", TONE, RATE, format="AIFF", subtype="PCM_16", endian="LITTLE")
    assert b"AIFCFVER" in (tmp_path / "a.aiff").read_bytes()[:40] and b"sowt" in (tmp_path / "a.aiff").read_bytes()[:80]
    assert_is_tone(scenes.load(tmp_path / "a.aiff"))


def test_bw64_is_read_and_refused_where_it_is_cut_off(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, format="RF64", subtype="PCM_16")
    content = b"BW64" + (tmp_path / "a.wav").read_bytes()[4:]
    (tmp_path / "a.wav").write_bytes(content)
    assert_is_tone(scenes.load(tmp_path / "a.wav"))
    (tmp_path / "a.wav").write_bytes(content[:-32000])
    with pytest.raises(BadInput, match="32,000 bytes"):
        scenes.load(tmp_path / "a.wav")


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_cut_off_sounds_are_refused_with_the_length_that_is_there(tmp_path, form):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (COUNT, 1))
    soundfile.write(tmp_path / "sound", noise, RATE, format=form)
    content = (tmp_path / "sound").read_bytes()
    (tmp_path / "sound").write_bytes(content[: len(content) // 2])
    for part in (None, (0.0, 0.5)):
        if part and form in ("FLAC", "MP3", "OGG"):
            continue  # these say how many samples they have, not how many bytes: what a part needs may be there
        with pytest.raises(BadInput, match=r"cut off.*: .* are there, (0|1)\.\d\d s"):
            open_audio(tmp_path / "sound", part=part)


@pytest.mark.parametrize(("name", "codec", "form"), [("a.m4a", "aac", "ipod"), ("a.mp4", "alac", "mp4")])
def test_sound_in_mp4_files_is_read_and_refused_where_it_is_cut_off(tmp_path, name, codec, form):
    encoded(str(tmp_path / name), form, codec)
    assert scenes.recognise(tmp_path / name)[0] == "audio"
    audio = scenes.load(tmp_path / name)
    # AAC's delay is in the edit list of the file; its last packet may be longer than the sound.
    assert audio.num_samples - COUNT in range(0, 2049)
    np.testing.assert_allclose(amplitudes(audio)[3000:COUNT], TONE[3000:], atol=0.03 if codec == "aac" else 1e-4)
    # The index comes last in these files, so one that is cut off cannot even be opened.
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(BadInput, match="cannot be read|cut off"):
        scenes.load(tmp_path / name, "audio")


def test_mp3_begins_with_its_first_sample_where_its_header_tells_the_delay(tmp_path):
    encoded(str(tmp_path / "a.mp3"), "mp3", "libmp3lame")
    audio = scenes.load(tmp_path / "a.mp3")
    assert audio.num_samples == COUNT
    np.testing.assert_allclose(amplitudes(audio)[1000:-1000], TONE[1000:-1000], atol=0.05)


def test_mp3_without_a_header_is_read_whole_and_says_that_it_begins_late(tmp_path):
    piped(tmp_path / "a.mp3", "mp3", "libmp3lame")
    audio = scenes.load(tmp_path / "a.mp3")
    assert COUNT < audio.num_samples < COUNT + 3000
    assert any("how much silence" in note for note in audio.notes)
    loud = np.abs(amplitudes(audio)[:, 0]) > 0.4
    assert 0.02 * RATE < np.argmax(loud) < 0.1 * RATE
    assert open_audio(tmp_path / "a.mp3", part=(1.0, 1.5)).num_samples == RATE // 2


def test_mp3_inside_of_a_wav_file_is_read(tmp_path):
    encoded(str(tmp_path / "a.wav"), "wav", "libmp3lame")
    audio = scenes.load(tmp_path / "a.wav")
    assert abs(audio.num_samples - COUNT) < 3000 and audio.channels.upper == pytest.approx(0.5, abs=0.05)


def test_streams_of_an_ogg_file_that_follow_each_other_are_joined(tmp_path):
    pieces = []
    for index, (level, count) in enumerate(((1.0, COUNT), (0.5, RATE))):
        soundfile.write(tmp_path / f"{index}.ogg", level * TONE[:count], RATE, format="OGG", subtype="VORBIS")
        pieces.append((tmp_path / f"{index}.ogg").read_bytes())
    (tmp_path / "chain.ogg").write_bytes(b"".join(pieces))
    audio = scenes.load(tmp_path / "chain.ogg")
    assert audio.num_samples == COUNT + RATE and "joined" in audio.notes[0]
    expected = np.concatenate([TONE, 0.5 * TONE[:RATE]])
    assert np.abs(amplitudes(audio) - expected).mean() < 0.02
    part = open_audio(tmp_path / "chain.ogg", part=(1.5, 2.5))
    np.testing.assert_array_equal(part.stored, audio.stored[24000:40000])


def test_the_next_stream_of_a_chain_with_another_rate_is_left_out_and_said(tmp_path):
    soundfile.write(tmp_path / "a.ogg", TONE, RATE, format="OGG", subtype="VORBIS")
    soundfile.write(tmp_path / "b.ogg", np.repeat(TONE, 2, axis=1), 8000, format="OGG", subtype="VORBIS")
    (tmp_path / "chain.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    audio = scenes.load(tmp_path / "chain.ogg")
    assert audio.num_samples == COUNT and "2 channels at 8000 Hz" in audio.notes[0]


def test_ogg_without_its_last_flag_is_read_and_said(tmp_path):
    soundfile.write(tmp_path / "a.ogg", TONE, RATE, format="OGG", subtype="VORBIS")
    content = bytearray((tmp_path / "a.ogg").read_bytes())
    content[content.rfind(b"OggS") + 5] &= ~4
    (tmp_path / "a.ogg").write_bytes(content)
    with pytest.raises(Unknown):
        announced_end(tmp_path / "a.ogg")


SURROUND = np.stack([0.3 * np.sin(2 * np.pi * 200 * (i + 1) * np.arange(48000) / 48000) for i in range(6)], 1)


def loudest(audio) -> list[int]:
    """Of each channel, which of the tones of 200 Hz, 400 Hz, ... it holds; 0 for the filtered low-frequency channel."""
    spectrum = np.abs(np.fft.rfft(audio.values()[:48000], axis=0))
    return [round(int(column.argmax()) / 200) if column.max() > 1000 else 0 for column in spectrum.T]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s24le"), ("a.flac", "flac"), ("a.opus", "libopus"), ("a.m4a", "aac")]
)
def test_surround_sound_has_the_channel_order_of_wav_files(tmp_path, name, codec):
    form = {"opus": "ogg", "m4a": "ipod"}.get(name[2:], name[2:])
    encoded(str(tmp_path / name), form, codec, SURROUND.astype(np.float32), "5.1", 48000)
    audio = scenes.load(tmp_path / name)
    found = loudest(audio)
    assert len(audio.channels) == 6 and audio.rate == pytest.approx(48000)
    assert [found[i] for i in (0, 1, 2, 4, 5)] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("ending", [".wav", ".ogg", ".flac"])
def test_surround_sound_is_written_in_the_order_of_its_format(tmp_path, ending):
    write_audio(tmp_path / f"a{ending}", SURROUND.astype(np.float32), 48000)
    audio = scenes.load(tmp_path / f"a{ending}")
    assert [loudest(audio)[i] for i in (0, 1, 2, 4, 5)] == [1, 2, 3, 5, 6]
    with av.open(str(tmp_path / f"a{ending}")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0) if frame.format.is_planar]
        if frames:  # ffmpeg's decoders give the order of WAV files
            second = np.concatenate(frames, axis=1)[1]
            assert round(np.abs(np.fft.rfft(second[:24000])).argmax() / 100) == 2


def test_fast_rates_and_films_with_sound(tmp_path):
    soundfile.write(tmp_path / "fast.wav", TONE, 192000, subtype="PCM_24")
    assert scenes.load(tmp_path / "fast.wav").rate == pytest.approx(192000)
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for index in range(5):
            container.mux(film.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), index * 20, np.uint8))))
        frame = av.AudioFrame.from_ndarray((TONE.T * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(sound.encode(frame))
        for stream in (film, sound):
            container.mux(stream.encode())
    assert scenes.recognise(tmp_path / "film.mkv")[0] == "video"
    audio = scenes.load(tmp_path / "film.mkv", "audio")
    assert_is_tone(audio)
    assert audio.notes == ("its picture is left out",)


def test_nan_in_a_float_file_is_silence_and_said_with_its_place(tmp_path):
    samples = TONE.copy()
    samples[12000], samples[12001] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="DOUBLE")
    words = "2 of 32,000 samples are NaN or infinite, the first at 0.7500 s"
    audio = open_audio(tmp_path / "a.wav")
    assert any(words in note and "silence" in note for note in audio.notes)
    assert np.isfinite(audio.values()).all() and (audio.values(slice(12000, 12002)) == 0).all()
    with pytest.raises(BadInput, match="the first at 0.7500 s; leave `refuse_invalid` out"):
        open_audio(tmp_path / "a.wav", refuse_invalid=True)
    assert open_audio(tmp_path / "a.wav", part=(0.0, 0.5)).notes == ()


def test_a_film_and_a_text_are_no_sounds(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"no sound at all" * 50)
    with pytest.raises(BadInput, match="a.m4a"):
        scenes.load(tmp_path / "a.m4a")


@given(st.integers(1, 12))
def test_orders_of_channels_are_inverse_to_each_other(channels):
    order = np.arange(channels)
    assert order[from_ogg_order(channels)][to_ogg_order(channels)].tolist() == order.tolist()
