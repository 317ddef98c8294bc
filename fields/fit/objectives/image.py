"""The objective of pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import Objective
from fields.models.field import Field
from fields.render.raster import picture
from scenes.image.color import checkerboard, to_bytes, to_display
from scenes.image.signal import Image

PANEL_SIDE = 768
PANEL_GAP = 8
ERROR_GAIN = 10


class ImageObjective(Objective):
    signal: Image

    def evaluate(self, field: Field) -> dict[str, float]:
        """Of the withheld pixels where there are any, else of all that may be fitted (then, with holes, PSNR only)."""
        image = self.signal
        if image.held_out is not None:
            parts = [(self._at(field, coords), values) for coords, values in image.held_out_samples()]
            prediction, target = (np.concatenate(part)[:, None] for part in zip(*parts))
        else:
            prediction, target = picture(field, image.width, image.height), image.values()
            if image.valid is not None:
                prediction, target = prediction[image.valid][:, None], target[image.valid][:, None]
        return metrics.picture_metrics(prediction, target, image.channels)

    @staticmethod
    @torch.no_grad()
    def _at(field: Field, coords: np.ndarray) -> np.ndarray:
        return field(torch.from_numpy(coords).to(next(field.parameters()).device)).cpu().numpy()

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
        shrink = max(1.0, max(self.signal.width, self.signal.height) / longest_side)
        width, height = (max(1, round(side / shrink)) for side in (self.signal.width, self.signal.height))
        values = picture(field, width, height)
        return to_bytes(to_display(values, field.channels, checkerboard(height, width)))

    def save_preview(self, field: Field, path: Path) -> None:
        """Target, fit, and ten times their difference, side by side (below each other where the picture is wide)."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        fit = self.preview(field, PANEL_SIDE)
        target = np.asarray(Pillow.fromarray(self.signal.preview(PANEL_SIDE)).resize(fit.shape[1::-1]))
        error = np.clip(np.abs(fit.astype(np.int16) - target) * ERROR_GAIN, 0, 255).astype(np.uint8)
        axis = 0 if fit.shape[1] > 1.6 * fit.shape[0] else 1
        gap = np.full((PANEL_GAP, fit.shape[1], 3) if axis == 0 else (fit.shape[0], PANEL_GAP, 3), 255, np.uint8)
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate([target, gap, fit, gap, error], axis)).save(temporary)
