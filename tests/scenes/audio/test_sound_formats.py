"""Sounds as other programs write them: public reports rebuilt small, one parameter each (see tests/reported)."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

import scenes
from scenes.audio.signal import Audio
from scenes.errors import BadInput

RATE = 8000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / RATE)).astype(np.float32)
STEREO = np.stack([TONE, TONE[::-1]], axis=1)
# The end of WAVE_FORMAT_EXTENSIBLE's names of codecs, whose first two bytes are the codec.
GUID = bytes.fromhex("000000001000800000aa00389b71")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def packed(samples: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Samples as integers of a width, or as floats of 32 bits."""
    if bits == 24:
        wide = (samples * 8388607).round().astype("<i4").reshape(-1)
        raw = wide[:, None].view("u1").reshape(-1, 4)[:, :3]
        return (raw if order == "<" else raw[:, ::-1]).tobytes()
    if bits == 16:
        return (samples * 32767).round().astype(f"{order}i2").tobytes()
    return samples.astype(f"{order}f4").tobytes()


def chunk(name: bytes, content: bytes, order: str = "<", size: int | None = None) -> bytes:
    return (
        name + struct.pack(f"{order}I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)
    )


def wav(codec: int, bits: int, extension: bytes = b"", *others: bytes) -> bytes:
    """A stereo WAV file; `extension` follows the 16 bytes that every format has, `others` come before the data."""
    width = bits // 8
    form = struct.pack("<HHIIHH", codec, 2, RATE, RATE * 2 * width, 2 * width, bits) + extension
    body = b"WAVE" + chunk(b"fmt ", form) + b"".join(others) + chunk(b"data", packed(STEREO, bits))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extension(codec: int, bits: int, size: int = 22, more: bytes = b"") -> bytes:
    return struct.pack("<HHIH", size, bits, 3, codec) + GUID + more


WAVS = {
    "wavefile 37": wav(EXTENSIBLE, 24, extension(PCM, 24, 26, b"\1\2\3\4")),
    "wavefile 33": wav(PCM, 16, b"\x07\0" + b"\xaa" * 6),
    "Symphonia 247": wav(FLOAT, 32, bytes(24)),
    "audio_metadata_reader 105": wav(EXTENSIBLE, 16, extension(PCM, 16)),
    "wave-chunk-parser 165": wav(PCM, 24, b"", chunk(b"LIST", b"INFOISFT\3\0\0\0abc")),
    "ImHex-Patterns 47": wav(FLOAT, 32),
    "Node-WAV-File-Info 12": wav(EXTENSIBLE, 24, extension(PCM, 24)),
    "wavers 10": wav(PCM, 24),
    "libsndfile 86": wav(PCM, 16, b"", chunk(b"smpl", bytes(32))),
    "HISSTools_Library 9": wav(EXTENSIBLE, 32, extension(FLOAT, 32)),
    "hound 14": wav(PCM, 24, b"\0\0" + bytes(22)),
}


def is_stereo(audio: scenes.signal.Signal, close: float = 1 / 30000) -> None:
    assert isinstance(audio, Audio) and audio.rate == pytest.approx(RATE, abs=1)
    assert audio.num_samples == len(STEREO)
    np.testing.assert_allclose(audio.values() * audio.channels.upper, STEREO, atol=close)


@pytest.mark.parametrize("report", WAVS)
def test_wav(tmp_path, report):
    (tmp_path / "a.wav").write_bytes(WAVS[report])
    is_stereo(scenes.load(tmp_path / "a.wav"))
    (tmp_path / "b.wav").write_bytes(WAVS[report][:-200])
    with pytest.raises(BadInput, match="cut off"):
        scenes.load(tmp_path / "b.wav")


def extended(rate: Fraction) -> bytes:
    """A number of 80 bits, as AIFF has its rates."""
    exponent = 0
    while rate >= 2:
        rate, exponent = rate / 2, exponent + 1
    return struct.pack(">HQ", 16383 + exponent, int(rate * (1 << 63)))


def aiff(
    bits: int = 16, codec: bytes = b"", *, data: bytes | None = None, after: bytes = b"", before: bytes = b"", **more
) -> bytes:
    frames, rate = more.get("frames", len(STEREO)), more.get("rate", Fraction(RATE))
    common = struct.pack(">HIH", 2, frames, bits) + extended(rate)
    common += codec + b"\0\0" if codec else b""
    sound = chunk(b"SSND", bytes(8) + (packed(STEREO, bits, ">") if data is None else data), ">")
    head = chunk(b"COMM", common, ">")
    parts = sound + head if more.get("sound_first") else head + before + sound
    body = (
        (b"AIFC" if codec else b"AIFF") + (chunk(b"FVER", b"\xa2\x80\x51\x40", ">") if codec else b"") + parts + after
    )
    return b"FORM" + struct.pack(">I", len(body)) + body


AIFFS = {
    "ConvertWithMoss 205": aiff(16, b"sowt", data=packed(STEREO, 16)),
    "music-metadata 144": aiff(before=chunk(b"NAME", b"odd", ">") + chunk(b"(c) ", b"1", ">")),
    "decode 46": aiff(after=chunk(b"ID3 ", b"ID3" + bytes(601), ">")),
    "Symphonia 309": aiff(32, b"fl32", data=packed(STEREO, 32, ">")),
    "dr_libs 265": aiff(sound_first=True),
    "AudioFile 31": aiff(before=chunk(b"iXML", b"<x/>" * 70, ">")),
    "SFBAudioEngine 167": aiff(rate=Fraction(RATE * 11, 11)),
    "pulp 29": aiff(24),
}


@pytest.mark.parametrize("report", AIFFS)
def test_aiff(tmp_path, report):
    (tmp_path / "a.aiff").write_bytes(AIFFS[report])
    is_stereo(scenes.load(tmp_path / "a.aiff"))


def test_aiff_whose_rate_is_no_whole_number(tmp_path):
    """SFBAudioEngine 167: the Macintosh's 22,254.5454 Hz."""
    (tmp_path / "a.aif").write_bytes(aiff(rate=Fraction(244800, 11)))
    assert scenes.load(tmp_path / "a.aif").rate == pytest.approx(22254.5, abs=1)


def test_aiff_whose_chunks_announce_different_lengths_is_said(tmp_path):
    """libsndfile 123: more frames in COMM than there are in SSND, which is whole."""
    (tmp_path / "a.aif").write_bytes(aiff(frames=3000))
    audio = scenes.load(tmp_path / "a.aif")
    is_stereo(audio)
    assert audio.notes == ("its header announces 3,000 samples, and its data are 1,600: these are read",)


def test_aiff_with_a_header_of_another_width_is_refused(tmp_path):
    """libsndfile 991: lengths of 64 bits where 32 belong."""
    content = aiff()
    (tmp_path / "a.aiff").write_bytes(content[:4] + bytes(4) + content[4:])
    with pytest.raises(BadInput, match="a.aiff: "):
        scenes.load(tmp_path / "a.aiff")


def id3(size: int = 300) -> bytes:
    """A tag of ID3v2."""
    return b"ID3\3\0\0" + bytes([0, 0, size >> 7, size & 127]) + bytes(size)


def flac(path: Path) -> bytes:
    soundfile.write(path, STEREO, RATE, format="FLAC")
    return path.read_bytes()


@pytest.mark.parametrize("report", ["opus-tools 95", "tinytag 56", "flac 859", "musefs 645", "flac 487"])
def test_flac_with_tags_of_mp3(tmp_path, report):
    """ID3 before and behind a FLAC file, of a padded size, of a version that no one knows."""
    plain = flac(tmp_path / "plain.flac")
    tag = (
        id3(3000) if report == "tinytag 56" else id3().replace(b"ID3\3", b"ID3\5") if report == "musefs 645" else id3()
    )
    content = plain + b"TAG" + bytes(125) if report == "flac 487" else tag + plain
    (tmp_path / "a.flac").write_bytes(content)
    is_stereo(scenes.load(tmp_path / "a.flac"))


@pytest.mark.parametrize(
    "report, form, subtype", [("MPD 867", "OGG", "OPUS"), ("mpv 1101", "MP3", None), ("FastLED 4129", "MP3", None)]
)
def test_the_delay_of_codecs_is_no_part_of_the_sound(tmp_path, report, form, subtype):
    rate = 48000 if subtype else 44100
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)).astype(np.float32)
    path = tmp_path / ("a.opus" if subtype else "a.mp3")
    soundfile.write(path, tone, rate, format=form, subtype=subtype)
    if report == "FastLED 4129":
        path.write_bytes(id3() + path.read_bytes())
    audio = scenes.load(path)
    assert isinstance(audio, Audio) and audio.num_samples == pytest.approx(len(tone), abs=2)
    found = audio.values()[:, 0] * audio.channels.upper
    middle = slice(4000, 16000)
    assert np.abs(found[middle] - tone[middle]).max() < 0.1
