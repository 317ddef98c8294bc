"""Audio of a field at any rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.models.field import PointField
from fields.render.raster import evaluate_lattice, sample_centers
from scenes.audio.write import check_audio_writable, write_audio
from scenes.domain import Axis
from scenes.errors import BadInput

# Samples per second.
MAX_RATE = 768_000


class AudioOutput(Output):
    options = ("rate", "scale", "part")
    suggested_options = {"rate": 48000}

    field: PointField

    def default_name(self, request: RenderRequest) -> str:
        return "render.wav"

    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        axis, channels = self.field.domain.axes[0], self.field.channels
        own_rate = self.field.domain.grid_shape[0] / (axis.upper - axis.lower)
        rate = requested_rate(own_rate, request)
        check_audio_writable(out, rate, len(channels))
        start, end = requested_part(axis, request, "audio")
        # Evaluation at a lower rate than the audio's own would alias: it is evaluated at its own rate, then filtered.
        evaluated_rate = max(rate, own_rate)
        count = max(1, round((end - start) * evaluated_rate))
        lower, upper = ((t - axis.lower) / (axis.upper - axis.lower) for t in (start, start + count / evaluated_rate))
        values = evaluate_lattice(self.field, sample_centers(count, lower, upper))
        values = values * (channels.upper - channels.lower) + channels.lower
        if rate < own_rate:
            values = _resampled(values, own_rate, rate)
        notes = write_audio(out, values, rate)
        return {
            "rate": rate,
            "samples": len(values),
            "text": f"{len(values) / rate:.2f} s at {rate} Hz",
            "notes": notes,
        }


def requested_rate(own_rate: float, request: RenderRequest) -> int:
    """Samples per second that `rate` or `scale` ask for. Raises BadInput for both, and for a rate out of range."""
    if request.rate and request.scale:
        raise BadInput("`rate` and `scale`: give one of the two")
    rate = round(request.rate or own_rate * (request.scale or 1))
    if not 1 <= rate <= MAX_RATE:
        raise BadInput(f"a rate of {rate} samples per second cannot be written; give 1 to {MAX_RATE}")
    return rate


def requested_part(axis: Axis, request: RenderRequest, name: str) -> tuple[float, float]:
    """Start and end in seconds of the `part` of a request. Raises BadInput for one that reaches outside of the axis."""
    start, end = request.part or (axis.lower, axis.upper)
    if not axis.lower <= start < end <= axis.upper + 1e-9:
        raise BadInput(
            f"`part={start:g},{end:g}`: reaches outside of the {name}, "
            f"which goes from {axis.lower:g} to {axis.upper:g} s"
        )
    return start, end


def _resampled(values: np.ndarray, own_rate: float, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    ratio = Fraction(rate, round(own_rate))
    return np.asarray(resample_poly(values, ratio.numerator, ratio.denominator, axis=0), np.float32)
