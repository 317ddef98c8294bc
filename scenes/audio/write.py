"""Numbers to sound files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

# Ending: (libsndfile's name, how samples are kept).
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".aiff": ("AIFF", "PCM_16"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FLAC_HIGHEST = 655_350


def check_audio_writable(path: str | os.PathLike, rate: int, channels: int) -> None:
    """Raises the BadInput of `write_audio` about ending, rate or place: to be called before long work."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise BadInput(
            f"cannot write {path}: {ending or 'a file without ending'} is not a format for sounds; use {', '.join(FORMATS)}"
        )
    rates = {".opus": OPUS_RATES, ".mp3": MP3_RATES}.get(ending)
    if rates and rate not in rates:
        raise BadInput(
            f"cannot write {path}: {ending} has no rate of {rate}; give --rate {', '.join(map(str, rates))}, or write .wav"
        )
    if ending == ".flac" and (rate > FLAC_HIGHEST or channels > 8):
        raise BadInput(
            f"cannot write {path}: FLAC holds at most {FLAC_HIGHEST} samples a second and 8 channels; write .wav"
        )
    if ending == ".mp3" and channels > 2:
        raise BadInput(f"cannot write {path}: MP3 holds at most 2 channels; write .wav")
    check_path_writable(path)


def write_audio(path: str | os.PathLike, values: np.ndarray, rate: int) -> list[str]:
    """Writes amplitudes `[N, C]`, 1 being full scale, in the format of the ending: .wav .flac .aiff (16 bits), .ogg .opus .mp3.

    Values beyond full scale are clipped, and a note returned that says how many. Raises BadInput as `check_audio_writable`.
    """
    import soundfile

    check_audio_writable(path, rate, values.shape[1])
    clipped = int((np.abs(values) > 1).sum())
    name, subtype = FORMATS[Path(path).suffix.lower()]
    with atomic_write(path) as temporary:
        try:
            with soundfile.SoundFile(
                temporary, "w", samplerate=rate, channels=values.shape[1], format=name, subtype=subtype
            ) as file:
                for start in range(0, len(values), 1 << 16):  # libsndfile's Vorbis encoder keeps a block on the stack
                    file.write(np.clip(values[start : start + (1 << 16)], -1, 1))
        except soundfile.LibsndfileError as error:
            raise BadInput(f"cannot write {path}: {error}") from None
    return [f"{clipped} of {values.size} samples were louder than full scale and are clipped"] if clipped else []
