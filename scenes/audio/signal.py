"""Audio as a signal; `scenes.audio.read` reads the files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from scenes.audio.read import DecodedAudio, read_audio
from scenes.audio.spectrogram import spectrogram
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal, source_record
from scenes.io.files import array_digest, input_file
from scenes.lattice import WINDOWED_SINC
from scenes.sampling import held_out_mask
from scenes.signal import changed_options

# Names of the channels by their number.
CHANNEL_NAMES = {1: ("mono",), 2: ("left", "right")}
# Samples per window of the spectrum that `Audio.bandwidth` sums.
BANDWIDTH_WINDOW = 4096
# Amplitude of full scale in 16-bit integers.
FULL_SCALE_INT16 = 32768.0
# Largest preview: one column per time step, one row per frequency band.
PREVIEW_SIZE = (1024, 256)


class Audio(GridSignal):
    """Audio: `stored` is `[N, C]` int16 or float32. Training values are amplitudes divided by the largest one.

    `channels.upper` is that largest amplitude, where 1 is full scale, so quiet audio is fitted as well as loud audio.
    """

    kind = "audio"
    reconstruction = WINDOWED_SINC
    between_limits = None

    @property
    def rate(self) -> float:
        """Sample rate in Hz."""
        axis = self.domain.axes[0]
        return self.num_samples / (axis.upper - axis.lower)

    @classmethod
    def from_array(
        cls, array: np.ndarray, rate: float, *, held_out: float = 0.0, seed: int = 0, refuse_invalid: bool = False
    ) -> Audio:
        """Make a signal of amplitudes.

        Args:
            array: `[N]` or `[N, C]`, int16, or floats where 1 is full scale.
            rate: sample rate in Hz.
            held_out: as in `open_audio`.
            seed: as in `open_audio`.
            refuse_invalid: as in `open_audio`.

        Raises:
            BadInput: the array is not audio, is constant, or holds what is to be refused.
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
        return _assemble(
            DecodedAudio(samples, rate), source, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid
        )

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
    path: str | os.PathLike[str],
    *,
    part: tuple[float, float] | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    refuse_invalid: bool = False,
) -> Audio:
    """Open an audio file.

    Args:
        path: the file.
        part: (start, end) in seconds; only this part is loaded. Default: all of it.
        held_out: fraction of the samples, in (0, 1), that is never trained on but scored.
        seed: seed of the choice of held-out samples.
        refuse_invalid: refuse a file with NaN or infinite samples, instead of taking these as silence.

    Raises:
        BadInput: the file cannot be read, is cut off, holds nothing to fit, or an option cannot be used.
    """
    file = input_file(path)
    audio = read_audio(path, file, part)
    options = changed_options(
        open_audio, part=list(part) if part else None, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid
    )
    source = source_record(path, file, options)
    return _assemble(audio, source, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid)


def _assemble(
    audio: DecodedAudio, source: dict[str, Any], *, held_out: float, seed: int, refuse_invalid: bool
) -> Audio:
    samples, rate, first = audio.samples, audio.rate, audio.first
    name = source["path"]
    if not len(samples):
        raise BadInput(f"{name}: holds no samples; there is nothing to fit")
    notes = list(audio.notes)
    if samples.dtype == np.float32 and not (finite := np.isfinite(samples)).all():
        found = (
            f"{finite.size - np.count_nonzero(finite):,} of {finite.size:,} samples are NaN or infinite, the first at "
            f"{(first + np.argmin(finite.all(axis=1))) / rate:.4f} s"
        )
        if refuse_invalid:
            raise BadInput(f"{name}: {found}; leave `refuse_invalid` out to take them as silence")
        samples = np.where(finite, samples, np.float32(0))
        notes.append(f"{found}: they are taken as silence; `refuse_invalid` refuses such files")
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
        notes=notes,
    )
