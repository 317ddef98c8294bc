"""Sounds of a run for the player of its page: of the field and of the signal, and their spectrograms."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from apps.studio.images import encode_webp
from fields.export.request import RenderRequest
from fields.fit.fit import reopen
from fields.kinds import output_for
from fields.runs.run import Run
from scenes.audio.read import read_audio
from scenes.audio.signal import FULL_SCALE_INT16, Audio
from scenes.audio.spectrogram import spectrogram
from scenes.audio.write import write_audio
from scenes.errors import BadInput

Which = Literal["field", "signal"]
# Width and height of a spectrogram in pixels.
SPECTROGRAM_SIZE = (900, 180)


def sound(run: Run, which: Which) -> Path:
    """A WAV file of a run, made anew where its weights have changed. Raises BadInput for runs that have no sound."""
    if run.header["kind"] != "audio":
        raise BadInput(f"{run.path.name} is no sound")
    file = run.path / f".{which}.wav"
    if file.is_file() and file.stat().st_mtime_ns >= run.weights.stat().st_mtime_ns:
        return file
    temporary = file.with_name(f".new-{which}.wav")
    if which == "field":
        output_for("audio", run.load_field(), run.path).render(temporary, RenderRequest())
    else:
        signal = reopen(run)
        assert isinstance(signal, Audio)
        write_audio(temporary, np.asarray(signal.values() * signal.channels.upper, np.float32), round(signal.rate))
    return temporary.replace(file)


def picture(run: Run, which: Which) -> bytes:
    """The spectrogram of a sound as WebP."""
    file = sound(run, which)
    samples = read_audio(file, file, None).samples
    scale = FULL_SCALE_INT16 if samples.dtype == np.int16 else 1.0
    return encode_webp(spectrogram(np.asarray(samples, np.float32) / scale, *SPECTROGRAM_SIZE))
