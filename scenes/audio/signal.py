"""Audio as a signal: WAV, FLAC, Ogg (Vorbis, Opus), AIFF and MP3 through libsndfile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from scenes.audio.spectrogram import spectrogram
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal, source_record
from scenes.io.files import array_digest, input_file, read_head
from scenes.sampling import held_out_mask
from scenes.signal import changed_options

# Names of the channels by their number.
CHANNEL_NAMES = {1: ("mono",), 2: ("left", "right")}
# Longest part in samples: float32 coordinates in [0, 1] tell neighbours apart up to here.
MAX_SAMPLES = 1 << 23
# Samples per window of the spectrum that `Audio.bandwidth` sums.
BANDWIDTH_WINDOW = 4096
# Amplitude of full scale in 16-bit integers.
FULL_SCALE_INT16 = 32768.0
# Largest preview: one column per time step, one row per frequency band.
PREVIEW_SIZE = (1024, 256)
# Largest page of an Ogg file and length of a page's header, in bytes.
OGG_MAX_PAGE = 65307
OGG_HEADER = 27
# Flag of the last page of an Ogg stream, in byte 5 of its header.
OGG_LAST_PAGE = 4


class Audio(GridSignal):
    """Audio: `stored` is `[N, C]` int16 or float32. Training values are amplitudes divided by the largest one.

    `channels.upper` is that largest amplitude, where 1 is full scale, so quiet audio is fitted as well as loud audio.
    """

    kind = "audio"

    @property
    def rate(self) -> float:
        """Sample rate in Hz."""
        axis = self.domain.axes[0]
        return self.num_samples / (axis.upper - axis.lower)

    @classmethod
    def from_array(cls, array: np.ndarray, rate: float, *, held_out: float = 0.0, seed: int = 0) -> Audio:
        """Make a signal of amplitudes.

        Args:
            array: `[N]` or `[N, C]`, int16, or floats where 1 is full scale.
            rate: sample rate in Hz.
            held_out: as in `open_audio`.
            seed: as in `open_audio`.

        Raises:
            BadInput: the array is not audio, is constant, or holds NaN or infinity.
        """
        samples = np.asarray(array)
        if samples.ndim == 1:
            samples = samples[:, None]
        if samples.ndim != 2 or samples.dtype != np.int16 and samples.dtype.kind != "f":
            raise BadInput(
                f"an array of {samples.dtype} {list(np.shape(array))} is not audio; give [N] or [N, C], int16 or float"
            )
        if samples.dtype != np.int16:
            samples = samples.astype(np.float32, copy=False)
        source = {"path": "array", "sha256": array_digest(samples)}
        return _assemble(samples, rate, 0, source, held_out=held_out, seed=seed)

    def bandwidth(self, left_out: float = 1e-4) -> float:
        """Fraction of half the sample rate, in (0, 1], below which all but `left_out` of the signal's energy lies."""
        power = np.zeros(BANDWIDTH_WINDOW // 2 + 1)
        window = np.hanning(BANDWIDTH_WINDOW)[:, None]
        for start in range(0, max(1, self.num_samples - BANDWIDTH_WINDOW + 1), BANDWIDTH_WINDOW // 2):
            block = self.values(slice(start, start + BANDWIDTH_WINDOW))
            if len(block) < BANDWIDTH_WINDOW:
                block = np.pad(block, ((0, BANDWIDTH_WINDOW - len(block)), (0, 0)))
            power += (np.abs(np.fft.rfft(block * window, axis=0)) ** 2).sum(axis=1)
        total = np.cumsum(power)
        return float(np.searchsorted(total, (1 - left_out) * total[-1]) + 1) / len(power)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The spectrogram, see `scenes.audio.spectrogram`."""
        width, height = PREVIEW_SIZE
        return spectrogram(self.values(), min(longest_side, width), min(longest_side, height))

    def describe(self) -> str:
        """Number of samples, rate, duration and channels in a few words."""
        axis = self.domain.axes[0]
        channels = {1: "mono", 2: "stereo"}.get(len(self.channels), f"{len(self.channels)} channels")
        return f"{self.num_samples:,} samples at {self.rate:g} Hz, {axis.upper - axis.lower:.2f} s, {channels}"


def open_audio(
    path: str | os.PathLike[str], *, part: tuple[float, float] | None = None, held_out: float = 0.0, seed: int = 0
) -> Audio:
    """Open an audio file.

    Args:
        path: the file.
        part: (start, end) in seconds; only this part is loaded. Default: all of it.
        held_out: fraction of the samples, in (0, 1), that is never trained on but scored.
        seed: seed of the choice of held-out samples.

    Raises:
        BadInput: the file cannot be read, is cut off, holds nothing to fit, or an option cannot be used.
    """
    import soundfile

    file = input_file(path)
    _check_complete(path, file)
    try:
        with soundfile.SoundFile(file) as opened:
            rate, frames = opened.samplerate, opened.frames
            first, count = _part_in_samples(path, part, frames, rate)
            if count > MAX_SAMPLES:
                raise BadInput(
                    f"{path}: {count:,} samples ({count / rate:.0f} s) are more than the limit of {MAX_SAMPLES:,}; "
                    f"fit a part of it: `part=0,{MAX_SAMPLES // rate}`"
                )
            opened.seek(first)
            samples = opened.read(count, dtype="int16" if opened.subtype == "PCM_16" else "float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise BadInput(
            f"{path}: cannot be read as audio ({_reason(error)}); a fresh copy may help, or converting it "
            "to WAV or FLAC"
        ) from None
    if len(samples) < count:
        raise BadInput(
            f"{path}: is cut off: {count:,} samples are announced and {len(samples):,} are there; get a fresh copy"
        )
    options = changed_options(open_audio, part=list(part) if part else None, held_out=held_out, seed=seed)
    source = source_record(path, file, options)
    return _assemble(samples, rate, first, source, held_out=held_out, seed=seed)


def _assemble(
    samples: np.ndarray, rate: float, first: int, source: dict[str, Any], *, held_out: float, seed: int
) -> Audio:
    """The signal of samples that begin with number `first` of the file."""
    name = source["path"]
    if not len(samples):
        raise BadInput(f"{name}: holds no samples; there is nothing to fit")
    if samples.dtype == np.float32 and not (finite := np.isfinite(samples)).all():
        raise BadInput(
            f"{name}: {finite.size - np.count_nonzero(finite)} of {finite.size} samples are NaN or infinite, the first "
            f"at {np.argmin(finite.all(axis=1)) / rate:.4f} s; repair them first"
        )
    if (samples == samples[0]).all():
        raise BadInput(
            f"{name}: every sample is {float(samples[0, 0]):g}: the audio is constant, there is nothing to fit"
        )
    full_scale = FULL_SCALE_INT16 if samples.dtype == np.int16 else 1.0
    largest = float(np.abs(samples.astype(np.float32)).max())
    count = len(samples)
    domain = Domain((Axis("t", first / rate, (first + count) / rate, "s", count),))
    names = CHANNEL_NAMES.get(samples.shape[1]) or tuple(f"channel {i + 1}" for i in range(samples.shape[1]))
    return Audio(
        samples,
        domain,
        Channels(names, "amplitude", upper=largest / full_scale),
        source,
        gain=1.0 / largest,
        held_out=held_out_mask(count, held_out, seed, name=name),
    )


def _part_in_samples(
    path: str | os.PathLike[str], part: tuple[float, float] | None, frames: int, rate: int
) -> tuple[int, int]:
    """First sample and number of samples of `part`, which is in seconds."""
    if part is None:
        return 0, frames
    start, end = part
    if not 0 <= start < end or start * rate >= frames:
        raise BadInput(
            f"{path}: `part={start:g},{end:g}` is outside the audio of {frames / rate:.2f} s; give START,END in seconds"
        )
    first = round(start * rate)
    return first, min(frames, round(end * rate)) - first


def _check_complete(path: str | os.PathLike[str], file: Path) -> None:
    """Raise BadInput where a WAV or Ogg file is cut off; libsndfile reads what is there without an error."""
    head = read_head(file, 4)
    size = file.stat().st_size
    if head == b"RIFF":
        announced = _riff_data_end(file)
        if announced is not None and announced > size:
            raise BadInput(f"{path}: is cut off: it should have {announced:,} bytes and has {size:,}; get a fresh copy")
    if head == b"OggS" and not _ends_with_last_page(file, size):
        raise BadInput(f"{path}: is cut off: its last page is missing; get a fresh copy")


def _ends_with_last_page(file: Path, size: int) -> bool:
    """Whether an Ogg file ends with a complete page that is flagged as the last one."""
    with open(file, "rb") as opened:
        opened.seek(max(0, size - OGG_MAX_PAGE - OGG_HEADER))
        tail = opened.read()
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + OGG_HEADER:
        return False
    page = tail[start:]
    # The header's last byte counts the entries of the segment table, whose sum is the length of the page's body.
    body = OGG_HEADER + page[OGG_HEADER - 1]
    complete = len(page) >= body and len(page) >= body + sum(page[OGG_HEADER:body])
    return complete and bool(page[5] & OGG_LAST_PAGE)


def _riff_data_end(file: Path) -> int | None:
    """Position where the data chunk should end; None where the header does not say (streams: 0 or 2^32 - 1)."""
    with open(file, "rb") as opened:
        opened.seek(12)
        while len(header := opened.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                return None if length in (0, 0xFFFFFFFF) else opened.tell() + length
            opened.seek(length + length % 2, os.SEEK_CUR)
    return None


def _reason(error: Exception) -> str:
    """libsndfile's complaint without its preamble."""
    text = str(error).strip().split("\n")[0]
    return text.rpartition(": ")[2].rstrip(".").lower() or type(error).__name__
