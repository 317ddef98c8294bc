"""The objective of images."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import ERROR_GAIN, Objective, held_out_values
from fields.fit.scoring import estimated_seconds, parts_within, scored_part
from fields.models.field import PointField
from fields.render.raster import evaluate_image, evaluate_rows, image_strips
from scenes.image.color import checkerboard, to_bytes, to_display
from scenes.image.signal import Image

# Longest side of each part of a preview, and the space between parts, in pixels.
PANEL_SIDE = 768
PANEL_GAP = 8
# Images that are wider than this times their height are shown one below the other.
WIDE = 1.6
# Rows of pixels by which the time of an evaluation is first estimated.
ESTIMATE_ROWS = 16


class ImageObjective(Objective[Image, PointField]):
    """Fits the pixels of an image."""

    def evaluate(self, field: PointField, seconds: float = math.inf) -> dict[str, float]:
        """Metrics of the held-out pixels where there are any, else of all valid ones (with holes, PSNR only).

        Of a part of the pixels there is no SSIM.
        """
        image = self.signal
        if image.held_out is not None:
            prediction, target, self.scored = held_out_values(field, image.held_out_samples(), seconds)
            return metrics.image_metrics(prediction[:, None], target[:, None], image.channels)
        prediction, known = self._predicted(field, seconds)
        self.scored = scored_part(int(known.sum()), len(known), "pixels")
        target = image.values()
        if self.scored is None and image.valid is None:
            return metrics.image_metrics(prediction, target, image.channels)
        counted = np.repeat(known[:, None], image.width, axis=1)
        if image.valid is not None:
            counted &= image.valid
        return metrics.image_metrics(prediction[counted][:, None], target[counted][:, None], image.channels)

    def _predicted(self, field: PointField, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """The image of a field, `[H, W, C]`, and for which rows there was time, bool `[H]`."""
        image = self.signal
        prediction = np.empty((image.height, image.width, len(image.channels)), np.float32)
        known = np.zeros(image.height, bool)
        strips = image_strips(image.width, image.height)
        # Metrics of the strips, which take about as long as those of the whole.
        cost = 0.0

        def cost_of_metrics() -> float:
            return cost

        for index in parts_within(len(strips), seconds, cost_of_metrics):
            rows = strips[index]
            prediction[rows] = evaluate_rows(field, image.width, image.height, rows)
            if not known.any() and math.isfinite(seconds):
                begun = time.perf_counter()
                metrics.image_metrics(prediction[rows], image.values(rows.start, rows.stop), image.channels)
                cost = time.perf_counter() - begun
            known[rows] = True
        return prediction, known

    def evaluation_seconds(self, field: PointField) -> float:
        """Estimate from some rows in the middle."""
        image = self.signal

        def score(rows: int) -> None:
            top = (image.height - rows) // 2
            values = evaluate_rows(field, image.width, image.height, slice(top, top + rows))
            metrics.image_metrics(values, image.values(top, top + rows), image.channels)

        return estimated_seconds(score, image.height, ESTIMATE_ROWS)

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The image of the fit, transparent parts over a checkerboard."""
        shrink = max(1.0, max(self.signal.width, self.signal.height) / longest_side)
        width, height = (max(1, round(side / shrink)) for side in (self.signal.width, self.signal.height))
        # Of a pixel's samples a few: people watch while the fit goes on.
        values = evaluate_image(field, width, height, most=2)
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
