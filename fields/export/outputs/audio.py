"""Sounds of a field, at any rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.render.raster import centres, lattice
from scenes.audio.write import check_audio_writable, write_audio
from scenes.errors import BadInput

HIGHEST_RATE = 768_000


class AudioOutput(Output):
    takes = ("rate", "scale", "part")
    suggestion = {"rate": 48000}

    def default_name(self, request: RenderRequest) -> str:
        return "render.wav"

    def render(self, out: Path, request: RenderRequest) -> dict:
        axis, channels = self.field.domain.axes[0], self.field.channels
        own = axis.samples / (axis.upper - axis.lower)
        rate = wanted_rate(own, request)
        check_audio_writable(out, rate, len(channels))
        start, end = request.part or (axis.lower, axis.upper)
        if not axis.lower <= start < end <= axis.upper + 1e-9:
            raise BadInput(
                f"`part={start:g},{end:g}` reaches outside the sound, which goes from {axis.lower:g} to {axis.upper:g} s"
            )
        # A lower rate would fold what it cannot hold into the audible: evaluated at the sound's own rate, then filtered.
        taken = max(rate, own)
        count = max(1, round((end - start) * taken))
        window = [(place - axis.lower) / (axis.upper - axis.lower) for place in (start, start + count / taken)]
        values = lattice(self.field, centres(count, *window)) * (channels.upper - channels.lower) + channels.lower
        if rate < own:
            values = _resampled(values, own, rate)
        notes = write_audio(out, values, rate)
        return {
            "rate": rate,
            "samples": len(values),
            "text": f"{len(values) / rate:.2f} s at {rate} Hz",
            "notes": notes,
        }


def wanted_rate(own: float, request: RenderRequest) -> int:
    """Samples a second that `rate` or `scale` ask for."""
    if request.rate and request.scale:
        raise BadInput("`rate` and `scale`: give one of the two")
    rate = round(request.rate or own * (request.scale or 1))
    if not 1 <= rate <= HIGHEST_RATE:
        raise BadInput(f"a rate of {rate} samples a second cannot be written; give 1 to {HIGHEST_RATE}")
    return rate


def _resampled(values: np.ndarray, own: float, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    ratio = Fraction(rate, round(own))
    return resample_poly(values, ratio.numerator, ratio.denominator, axis=0).astype(np.float32)
