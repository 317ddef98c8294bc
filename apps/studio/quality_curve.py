"""The quality curve of a job as SVG."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fields.compare.chart import SMALL, Line, svg

METRIC_LABELS = {"psnr": "PSNR, dB", "test_psnr": "PSNR of test views, dB", "snr": "SNR, dB"}
# Largest fraction of the time that drawing takes during a fit: a chart takes about 30 ms.
MAX_TIME_FRACTION = 0.02


class QualityCurve:
    """Draws a curve that grows. While it is `active` it is drawn less often than it is asked for."""

    def __init__(self) -> None:
        self._svg = ""
        self._points: Sequence[tuple[float, float]] = ()
        self._next = 0.0

    def svg(self, metric: str, points: Sequence[tuple[float, float]], *, active: bool) -> str:
        """The curve of a metric over seconds; empty before there are two points."""
        begun = time.monotonic()
        if len(points) < 2:
            self._svg, self._points = "", points
        elif points is not self._points and (begun >= self._next or not active or not self._svg):
            label = METRIC_LABELS.get(metric, metric)
            self._svg, self._points = svg([Line(metric, points)], "seconds", label, size=SMALL), points
            now = time.monotonic()
            self._next = now + (now - begun) / MAX_TIME_FRACTION
        return self._svg
