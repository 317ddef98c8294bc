"""Sounds as signals: WAV, FLAC, Ogg (Vorbis, Opus), AIFF and MP3 through libsndfile."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.io.files import input_file, read_head
from scenes.lattice import Lattice, held_out_mask, source_record

NAMES = {1: ("mono",), 2: ("left", "right")}
# A float32 coordinate tells samples apart up to here; longer sounds are fitted in parts.
MAX_SAMPLES = 1 << 23
# Samples a window of the spectrum that `bandwidth` sums.
BANDS = 4096


class Audio(Lattice):
    """A sound: `stored` `[N, C]` int16 or float32 in raster order of time; fitted values are amplitudes over the largest.

    `channels.upper` is that largest amplitude, so that quiet sounds are fitted as well as loud ones.
    """

    kind = "audio"

    @property
    def rate(self) -> float:
        """Samples a second."""
        axis = self.domain.axes[0]
        return axis.samples / (axis.upper - axis.lower)

    @classmethod
    def from_array(cls, array: np.ndarray, rate: float, *, held_out: float = 0.0, seed: int = 0) -> Audio:
        """The signal of amplitudes `[N]` or `[N, C]`: int16, or floats where 1 is full scale; `rate` in samples a second."""
        samples = np.asarray(array)
        if samples.ndim == 1:
            samples = samples[:, None]
        if samples.ndim != 2 or samples.dtype != np.int16 and samples.dtype.kind != "f":
            raise BadInput(
                f"an array of {samples.dtype} {list(np.shape(array))} is not a sound; give [N] or [N, C], int16 or float"
            )
        if samples.dtype != np.int16:
            samples = samples.astype(np.float32, copy=False)
        import hashlib

        content = hashlib.sha256(np.ascontiguousarray(samples)).hexdigest()
        return _assemble(samples, rate, 0, {"path": "array", "sha256": content}, held_out, seed, ())

    def bandwidth(self, left: float = 1e-4) -> float:
        """The share of half the rate, in (0, 1], below which all but the share `left` of the sound's energy lies."""
        power = np.zeros(BANDS // 2 + 1)
        window = np.hanning(BANDS)[:, None]
        for start in range(0, max(1, self.total - BANDS + 1), BANDS // 2):
            block = self.values(slice(start, start + BANDS))
            if len(block) < BANDS:
                block = np.pad(block, ((0, BANDS - len(block)), (0, 0)))
            power += (np.abs(np.fft.rfft(block * window, axis=0)) ** 2).sum(axis=1)
        total = np.cumsum(power)
        return float(np.searchsorted(total, (1 - left) * total[-1]) + 1) / len(power)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """Its spectrogram; see `scenes.audio.spectrogram`."""
        from scenes.audio.spectrogram import spectrogram

        return spectrogram(self.values(), min(longest_side, 1024), min(longest_side, 256))

    def describe(self) -> str:
        axis = self.domain.axes[0]
        voices = {1: "mono", 2: "stereo"}.get(len(self.channels), f"{len(self.channels)} channels")
        return f"{axis.samples:,} samples at {self.rate:g} Hz, {axis.upper - axis.lower:.2f} s, {voices}"


def open_audio(
    path: str | os.PathLike, *, part: tuple[float, float] | None = None, held_out: float = 0.0, seed: int = 0
) -> Audio:
    """The sound in a file.

    part       (start, end) in seconds: only that stretch
    held_out   share of the samples, in (0, 1), that is never trained on, drawn at random from `seed`

    Raises BadInput with one line for whatever makes that impossible.
    """
    import soundfile

    file = input_file(path)
    _refuse_cut_off(path, file)
    try:
        with soundfile.SoundFile(file) as opened:
            rate, frames = opened.samplerate, opened.frames
            first, count = _stretch(path, part, frames, rate)
            if count > MAX_SAMPLES:
                raise BadInput(
                    f"{path}: {count:,} samples ({count / rate:.0f} s) are more than one field can tell apart "
                    f"({MAX_SAMPLES:,}); fit a part of it: --part 0,{MAX_SAMPLES // rate}"
                )
            opened.seek(first)
            samples = opened.read(count, dtype="int16" if opened.subtype == "PCM_16" else "float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise BadInput(
            f"{path}: cannot be read as a sound ({_reason(error)}); a fresh copy may help, or converting it "
            "to WAV or FLAC"
        ) from None
    if len(samples) < count:
        raise BadInput(
            f"{path}: is cut off: {count:,} samples are announced and {len(samples):,} are there; get a fresh copy"
        )
    options = {"part": list(part) if part else None, "held_out": held_out, "seed": seed}
    source = source_record(path, file, {name: value for name, value in options.items() if value})
    return _assemble(samples, rate, first, source, held_out, seed, ())


def _assemble(samples: np.ndarray, rate: float, first: int, source: dict, held_out: float, seed: int, notes) -> Audio:
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
            f"{name}: every sample is {float(samples[0, 0]):g}: the sound is constant, there is nothing to fit"
        )
    full = 32768.0 if samples.dtype == np.int16 else 1.0
    largest = float(np.abs(samples.astype(np.float32)).max())
    count = len(samples)
    domain = Domain((Axis("t", first / rate, (first + count) / rate, "s", count),))
    names = NAMES.get(samples.shape[1]) or tuple(f"channel {i + 1}" for i in range(samples.shape[1]))
    channels = Channels(names, "amplitude", upper=largest / full)
    return Audio(
        samples,
        domain,
        channels,
        source,
        gain=1.0 / largest,
        held_out=held_out_mask(count, held_out, seed, name),
        notes=notes,
    )


def _stretch(path, part: tuple[float, float] | None, frames: int, rate: int) -> tuple[int, int]:
    """First sample and count of `part` in seconds."""
    if part is None:
        return 0, frames
    start, end = part
    if not 0 <= start < end or start * rate >= frames:
        raise BadInput(
            f"{path}: --part {start:g},{end:g} is outside the sound of {frames / rate:.2f} s; give START,END in seconds"
        )
    first = round(start * rate)
    return first, min(frames, round(end * rate)) - first


def _refuse_cut_off(path, file: Path) -> None:
    """libsndfile reads what is there of a shortened WAV or Ogg file without a word."""
    head = read_head(file, 4)
    size = file.stat().st_size
    if head == b"RIFF":
        announced = _riff_data_end(file)
        if announced is not None and announced > size:
            raise BadInput(f"{path}: is cut off: it should have {announced:,} bytes and has {size:,}; get a fresh copy")
    if head == b"OggS":
        with open(file, "rb") as opened:
            opened.seek(max(0, size - 65307 - 27))  # the largest page
            tail = opened.read()
        page = tail.rfind(b"OggS")
        # Byte 5 of a page header flags the last page of a stream; its segment table tells the page's length.
        whole = (
            page >= 0
            and len(tail) >= page + 27 + (segments := tail[page + 26])
            and len(tail) >= page + 27 + segments + sum(tail[page + 27 : page + 27 + segments])
        )
        if not (whole and tail[page + 5] & 4):
            raise BadInput(f"{path}: is cut off: its last page is missing; get a fresh copy")


def _riff_data_end(file: Path) -> int | None:
    """Where the data chunk should end; None where the header does not say (streams: 0 or 2^32 - 1)."""
    with open(file, "rb") as opened:
        opened.seek(12)
        while len(header := opened.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                return None if length in (0, 0xFFFFFFFF) else opened.tell() + length
            opened.seek(length + length % 2, os.SEEK_CUR)
    return None


def _reason(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return text.rpartition(": ")[2].rstrip(".").lower() or type(error).__name__
