"""The objective of pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from fields.field import Field
from fields.fit import metrics
from fields.fit.objective import Objective
from fields.raster import picture
from scenes.image import Image

PANEL_SIDE = 768


class ImageObjective(Objective):
    signal: Image

    def evaluate(self, field: Field) -> dict[str, float]:
        image = self.signal
        return metrics.picture_metrics(picture(field, image.width, image.height), image.values(), image.channels)

    def evaluation_seconds(self, field: Field) -> float:
        """From a band of at most 64 rows across the middle."""
        image = self.signal
        band = min(64, image.height)
        top = (image.height - band) // 2
        begun = time.perf_counter()
        values = picture(field, image.width, band, (0.0, top / image.height, 1.0, (top + band) / image.height))
        metrics.picture_metrics(values, image.values(top, top + band), image.channels)
        return (time.perf_counter() - begun) * image.height / band

    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        """The fit as a person would look at it: `[H, W, 3]` uint8, at most `longest_side` pixels wide or high."""
        raise NotImplementedError

    def save_preview(self, field: Field, path: Path) -> None:
        raise NotImplementedError
