"""The objective of images."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import ERROR_GAIN, Objective, held_out_values
from fields.models.field import PointField
from fields.render.raster import evaluate_image
from scenes.image.color import checkerboard, to_bytes, to_display
from scenes.image.signal import Image

# Longest side of each part of a preview, and the space between parts, in pixels.
PANEL_SIDE = 768
PANEL_GAP = 8
# Images that are wider than this times their height are shown one below the other.
WIDE = 1.6
# Rows of pixels by which the time of an evaluation is estimated.
ESTIMATE_ROWS = 64


class ImageObjective(Objective[Image, PointField]):
    """Fits the pixels of an image."""

    def evaluate(self, field: PointField) -> dict[str, float]:
        """Metrics of the held-out pixels where there are any, else of all valid ones (with holes, PSNR only)."""
        image = self.signal
        if image.held_out is not None:
            prediction, target = (values[:, None] for values in held_out_values(field, image.held_out_samples()))
        else:
            prediction, target = evaluate_image(field, image.width, image.height), image.values()
            if image.valid is not None:
                prediction, target = prediction[image.valid][:, None], target[image.valid][:, None]
        return metrics.image_metrics(prediction, target, image.channels)

    def evaluation_seconds(self, field: PointField) -> float:
        """Estimate from at most 64 rows in the middle."""
        image = self.signal
        rows = min(ESTIMATE_ROWS, image.height)
        top = (image.height - rows) // 2
        begun = time.perf_counter()
        values = evaluate_image(field, image.width, rows, (0.0, top / image.height, 1.0, (top + rows) / image.height))
        metrics.image_metrics(values, image.values(top, top + rows), image.channels)
        return (time.perf_counter() - begun) * image.height / rows

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The image of the fit, transparent parts over a checkerboard."""
        shrink = max(1.0, max(self.signal.width, self.signal.height) / longest_side)
        width, height = (max(1, round(side / shrink)) for side in (self.signal.width, self.signal.height))
        values = evaluate_image(field, width, height)
        return to_bytes(to_display(values, field.channels, checkerboard(height, width)))

    def save_preview(self, field: PointField, path: Path) -> None:
        """Write target, fit and ten times their difference, side by side, or one below the other for a wide image."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        fit = self.preview(field, PANEL_SIDE)
        height, width = fit.shape[:2]
        target = np.asarray(Pillow.fromarray(self.signal.preview(PANEL_SIDE)).resize((width, height)))
        error = np.clip(np.abs(fit.astype(np.int16) - target) * ERROR_GAIN, 0, 255).astype(np.uint8)
        axis = 0 if width > WIDE * height else 1
        gap = np.full((PANEL_GAP, width, 3) if axis == 0 else (height, PANEL_GAP, 3), 255, np.uint8)
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate([target, gap, fit, gap, error], axis)).save(temporary)
