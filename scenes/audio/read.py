"""Read sounds: with libsndfile what it reads rightly, everything else with ffmpeg's libraries (PyAV).

libsndfile is exact and quick, and seeks. It does not read M4A, AAC, WMA, WavPack or BW64; of a FLAC file without a
length, a CAF file from a pipe and an MP3 file without a header it reads nothing, or a part without a word; and of
chained Ogg streams only the first.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scenes.audio.speakers import from_ogg_order
from scenes.errors import BadInput
from scenes.io.files import read_head
from scenes.io.media_length import Unknown, announced_end, mp3_header_end
from scenes.io.silence import silence_libraries

# Longest part in samples: float32 coordinates in [0, 1] tell neighbours apart up to here.
MAX_SAMPLES = 1 << 23
# libsndfile's number of samples where a file does not say (its SF_COUNT_MAX is 2^63 - 1).
UNKNOWN_FRAMES = 1 << 62
# Samples that are read at a time where reading may fail.
READABLE_BLOCK = 512
# What libsndfile's log says of an AIFF file's chunk COMM.
AIFF_FRAMES = re.compile(r"COMM : .*?\bFrames\s*:\s*(\d+)", re.DOTALL)
# Bytes of an Ogg page's header before its segment table, and its flag of a stream's first page.
OGG_HEADER = 27
OGG_FIRST_PAGE = 2


@dataclass
class DecodedAudio:
    """A sound as its file holds it.

    Attributes:
        samples: `[N, C]` int16, or float32 where 1 is full scale.
        rate: sample rate in Hz.
        first: number of the first sample within the file; not 0 where only a part was read.
        notes: one-line remarks for the user.
    """

    samples: np.ndarray
    rate: float
    first: int = 0
    notes: list[str] = field(default_factory=list)


class _Unsupported(Exception):
    """libsndfile does not read this file, or not all of it."""


def read_audio(path: str | os.PathLike[str], file: Path, part: tuple[float, float] | None) -> DecodedAudio:
    """Read the samples of a file.

    Args:
        path: the file as the user named it, for messages.
        file: the file.
        part: (start, end) in seconds; only this part is kept. None: all of it.

    Raises:
        BadInput: the file cannot be read, is cut off or too long, or `part` is outside of it.
    """
    notes = []
    missing, unknown = 0, False
    try:
        missing = max(0, (announced_end(file) or 0) - file.stat().st_size)
    except Unknown:
        unknown = True
        notes.append(
            "its header does not say how long it is, as in a file from a pipe; everything that is there is read"
        )
    try:
        links = _ogg_links(file) if read_head(file, 4) == b"OggS" else []
        if len(links) > 1 and not missing:
            audio = _read_chain(path, links, part)
        else:
            audio = _read_with_libsndfile(path, file, part, missing=missing, unknown=unknown)
    except _Unsupported as reason:
        audio = _read_with_ffmpeg(path, file, part, missing, str(reason))
    audio.notes[:0] = notes
    return audio


def _read_with_libsndfile(
    path: str | os.PathLike[str], file: Path, part: tuple[float, float] | None, *, missing: int, unknown: bool
) -> DecodedAudio:
    """Read a part; `missing`: bytes by which the file is too short; `unknown`: it does not say how long it is."""
    import soundfile

    # libmpg123, which reads MP3 for libsndfile, prints.
    with silence_libraries():
        try:
            opened = soundfile.SoundFile(file)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _Unsupported(_reason(error)) from None
        with opened:
            rate, frames = opened.samplerate, opened.frames
            # Of MP3 without the encoder's header, or inside of a WAV file, libsndfile guesses the length.
            guessed = opened.subtype.startswith("MPEG") and (opened.format != "MP3" or mp3_header_end(file) is None)
            if frames >= UNKNOWN_FRAMES or guessed:
                raise _Unsupported("unknown length")
            if unknown and not frames or missing and opened.format == "OGG":
                raise _Unsupported("no length that libsndfile knows")
            if missing:
                raise _cut_off(path, missing, _readable(file), rate)
            first, count = part_in_samples(path, part, frames, rate)
            _check_length(path, count, rate)
            samples = _read_samples(opened, first, count)
            if samples is None or len(samples) < count:
                there = _readable(file)
                raise BadInput(
                    f"{path}: is cut off or damaged: {frames:,} samples are announced and {there:,} are there, "
                    f"{there / rate:.2f} s; get a fresh copy"
                )
            if opened.format == "OGG":
                samples = samples[:, from_ogg_order(opened.channels)]
            log = AIFF_FRAMES.search(opened.extra_info) if opened.format == "AIFF" else None
    notes = []
    if log is not None and int(log[1]) > frames:
        notes.append(f"its header announces {int(log[1]):,} samples, and its data are {frames:,}: these are read")
    return DecodedAudio(samples, rate, first, notes)


def _read_samples(opened: Any, first: int, count: int) -> np.ndarray | None:
    """Samples `[n, C]` from number `first` on, at most `count`; None where they cannot be decoded."""
    import soundfile

    try:
        opened.seek(first)
        # The type that keeps the file's values: 16-bit integers as such, everything else float32.
        return opened.read(count, dtype="int16" if opened.subtype == "PCM_16" else "float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError):
        return None


def _readable(file: Path) -> int:
    """Number of samples that can be read of a file that is cut off, to within a block of them."""
    import soundfile

    count = 0
    with suppress(soundfile.LibsndfileError, RuntimeError), soundfile.SoundFile(file) as opened:
        while block := len(opened.read(READABLE_BLOCK, dtype="float32", always_2d=True)):
            count += block
    return count


def _read_chain(path: str | os.PathLike[str], links: list[bytes], part: tuple[float, float] | None) -> DecodedAudio:
    """Read the streams that follow each other in an Ogg file, as recorded from internet radio."""
    import soundfile

    pieces: list[np.ndarray] = []
    notes: list[str] = []
    rate = 0
    for number, link in enumerate(links, 1):
        try:
            with soundfile.SoundFile(io.BytesIO(link)) as opened:
                if pieces and (opened.samplerate, opened.channels) != (rate, pieces[0].shape[1]):
                    notes.append(
                        f"of {len(links)} streams that follow each other, {number - 1} are read: number {number} has "
                        f"{opened.channels} channels at {opened.samplerate} Hz; split the file to read it"
                    )
                    break
                rate = opened.samplerate
                pieces.append(opened.read(dtype="float32", always_2d=True)[:, from_ogg_order(opened.channels)])
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _Unsupported(_reason(error)) from None
    else:
        notes.append(f"{len(links)} streams that follow each other are joined")
    samples = np.concatenate(pieces)
    first, count = part_in_samples(path, part, len(samples), rate)
    _check_length(path, count, rate)
    return DecodedAudio(samples[first : first + count], rate, first, notes)


def _ogg_links(file: Path) -> list[bytes]:
    """The streams that follow each other in an Ogg file; empty where there is one, or they run side by side."""
    content = file.read_bytes()
    starts, at, in_heads = [], 0, False
    while content[at : at + 4] == b"OggS" and len(content) >= at + OGG_HEADER:
        is_head = bool(content[at + 5] & OGG_FIRST_PAGE)
        if is_head and in_heads:
            return []
        if is_head:
            starts.append(at)
        in_heads = is_head
        segments = content[at + OGG_HEADER - 1]
        at += OGG_HEADER + segments + sum(content[at + OGG_HEADER : at + OGG_HEADER + segments])
    return [content[low:high] for low, high in zip(starts, [*starts[1:], len(content)])]


def _read_with_ffmpeg(
    path: str | os.PathLike[str], file: Path, part: tuple[float, float] | None, missing: int, reason: str
) -> DecodedAudio:
    """Decode the first sound track with PyAV; `reason` is what libsndfile says of the file."""
    import av
    import av.error

    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                raise BadInput(f"{path}: has no sound track; if it is a film, `kind=video` opens it")
            rate, samples, first, total = _decode(path, container, part)
            notes = _notes(container, file)
    except BadInput:
        raise
    except (av.error.FFmpegError, ValueError, RuntimeError, LookupError) as error:
        if missing:
            raise _cut_off(path, missing, 0, 1) from None
        own_words = error.strerror if isinstance(error, av.error.FFmpegError) else None
        raise BadInput(
            f"{path}: cannot be read as audio ({reason}; {(own_words or str(error)).lower()}); a fresh copy may help, "
            "or converting it to WAV or FLAC"
        ) from None
    if missing:
        raise _cut_off(path, missing, total, rate)
    if part is not None:
        part_in_samples(path, part, total, rate)
    return DecodedAudio(samples, rate, first, notes)


def _decode(
    path: str | os.PathLike[str], container: Any, part: tuple[float, float] | None
) -> tuple[int, np.ndarray, int, int]:
    """Rate, samples `[N, C]` of the part, number of the first of them, and the number of samples up to its end."""
    import av

    stream = container.streams.audio[0]
    stream.thread_type = "AUTO"
    resampler = None
    rate, total, first, kept = stream.rate or 0, 0, 0, 0
    blocks: list[np.ndarray] = []
    wanted = (0, MAX_SAMPLES + 1)
    for frame in container.decode(stream):
        if resampler is None:
            rate = frame.sample_rate
            layout, name = frame.layout, "s16p" if frame.format.name in ("s16", "s16p") else "fltp"
            # Only the arrangement of the samples is changed; a later change of rate or channels is converted.
            resampler = av.AudioResampler(format=name, layout=layout, rate=rate)
            if part is not None:
                first = round(part[0] * rate)
                wanted = (first, round(part[1] * rate))
                _check_length(path, wanted[1] - wanted[0], rate)
        for converted in resampler.resample(frame):
            values = converted.to_ndarray()
            low, high = max(0, wanted[0] - total), wanted[1] - total
            if high > low:
                blocks.append(values[:, low:high].T)
                kept += len(blocks[-1])
            total += values.shape[1]
        if part is not None and total >= wanted[1]:
            break
    if part is None:
        _check_length(path, total, rate)
    channels = stream.codec_context.channels or 1
    return rate, np.concatenate(blocks) if blocks else np.zeros((0, channels), np.int16), first, total


def _notes(container: Any, file: Path) -> list[str]:
    notes = []
    if container.streams.video and not _only_pictures(container):
        notes.append("its picture is left out")
    if len(container.streams.audio) > 1:
        notes.append(f"of {len(container.streams.audio)} sound tracks the first is read")
    if container.format.name == "aac" or container.format.name == "mp3" and mp3_header_end(file) is None:
        notes.append(
            f"the {container.format.name.upper()} file does not say how much silence its encoder added: it is read "
            "with it, and begins some 25 to 60 ms late"
        )
    return notes


def _only_pictures(container: Any) -> bool:
    """Whether the video tracks are pictures of the cover."""
    from av.stream import Disposition

    return all(stream.disposition & Disposition.attached_pic for stream in container.streams.video)


def part_in_samples(
    path: str | os.PathLike[str], part: tuple[float, float] | None, frames: int, rate: int
) -> tuple[int, int]:
    """First sample and number of samples of `part`, which is in seconds. Raises BadInput for one that is outside."""
    if part is None:
        return 0, frames
    start, end = part
    if not 0 <= start < end or start * rate >= frames:
        raise BadInput(
            f"{path}: `part={start:g},{end:g}` is outside the audio of {frames / rate:.2f} s; give START,END in seconds"
        )
    first = round(start * rate)
    return first, min(frames, round(end * rate)) - first


def _check_length(path: str | os.PathLike[str], count: int, rate: int) -> None:
    if count > MAX_SAMPLES:
        raise BadInput(
            f"{path}: {count:,} samples ({count / rate:.0f} s) are more than the limit of {MAX_SAMPLES:,}; "
            f"fit a part of it: `part=0,{MAX_SAMPLES // rate}`"
        )


def _cut_off(path: str | os.PathLike[str], missing: int, samples: int, rate: int) -> BadInput:
    return BadInput(
        f"{path}: is cut off: {missing:,} bytes of what it announces are missing, and {samples:,} samples are there, "
        f"{samples / max(1, rate):.2f} s; get a fresh copy"
    )


def _reason(error: Exception) -> str:
    """libsndfile's complaint without its preamble."""
    text = str(error).strip().split("\n")[0]
    return text.rpartition(": ")[2].rstrip(".").lower() or type(error).__name__
