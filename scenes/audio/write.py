"""Write audio files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.audio.speakers import to_ogg_order
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

# Ending: libsndfile's (format, subtype).
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".aiff": ("AIFF", "PCM_16"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
# Sample rates in Hz of the formats that do not take any rate.
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FLAC_MAX_RATE = 655_350
FLAC_MAX_CHANNELS = 8
MP3_MAX_CHANNELS = 2
# Samples written at a time: libsndfile's Vorbis encoder keeps a block on the stack.
BLOCK_SAMPLES = 1 << 16


def check_audio_writable(path: str | os.PathLike[str], rate: int, channels: int) -> None:
    """Check ending, rate, number of channels and place before long work. Raises the BadInput of `write_audio`."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise BadInput(
            f"cannot write {path}: {ending or 'a file without ending'} is not an audio format; use {', '.join(FORMATS)}"
        )
    rates = {".opus": OPUS_RATES, ".mp3": MP3_RATES}.get(ending)
    if rates and rate not in rates:
        raise BadInput(
            f"cannot write {path}: {ending} has no `rate={rate}`; choose one of {', '.join(map(str, rates))}, "
            "or write .wav"
        )
    if ending == ".flac" and (rate > FLAC_MAX_RATE or channels > FLAC_MAX_CHANNELS):
        raise BadInput(
            f"cannot write {path}: FLAC has at most {FLAC_MAX_RATE} samples per second and {FLAC_MAX_CHANNELS} "
            "channels; write .wav"
        )
    if ending == ".mp3" and channels > MP3_MAX_CHANNELS:
        raise BadInput(f"cannot write {path}: MP3 has at most {MP3_MAX_CHANNELS} channels; write .wav")
    check_path_writable(path)


def write_audio(path: str | os.PathLike[str], values: np.ndarray, rate: int) -> list[str]:
    """Write an audio file in the format of its ending.

    Args:
        path: the file: .wav, .flac or .aiff (16 bits), .ogg, .opus or .mp3.
        values: `[N, C]` amplitudes, where 1 is full scale. Values beyond are clipped.
        rate: sample rate in Hz.

    Returns:
        Notes for the user: one that says how many values were clipped, or none.

    Raises:
        BadInput: no such format, the format has no such rate or number of channels, or the file cannot be written.
    """
    import soundfile

    check_audio_writable(path, rate, values.shape[1])
    clipped = int((np.abs(values) > 1).sum())
    name, subtype = FORMATS[Path(path).suffix.lower()]
    order = to_ogg_order(values.shape[1]) if name == "OGG" else slice(None)
    with atomic_write(path) as temporary:
        try:
            with soundfile.SoundFile(
                temporary, "w", samplerate=rate, channels=values.shape[1], format=name, subtype=subtype
            ) as file:
                for start in range(0, len(values), BLOCK_SAMPLES):
                    file.write(np.clip(values[start : start + BLOCK_SAMPLES, order], -1, 1))
        except soundfile.LibsndfileError as error:
            raise BadInput(f"cannot write {path}: {error}") from None
    return [f"{clipped} of {values.size} samples were louder than full scale and are clipped"] if clipped else []
