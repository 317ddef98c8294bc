"""The objective of clips: as coordinates (x, y, t)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import Objective
from fields.models.field import Field
from fields.render.raster import centres, lattice
from scenes.image.color import to_bytes
from scenes.video.signal import Video

PANELS = 4
PANEL_WIDTH = 320
GAP = 6
ERROR_GAIN = 10


def frame_at(
    field: Field,
    moment: float,
    width: int,
    height: int,
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> np.ndarray:
    """The picture `[height, width, C]` float32 that a PointField shows at `moment` in [0, 1]."""
    x0, y0, x1, y1 = window
    return lattice(field, centres(width, x0, x1), centres(height, y0, y1), torch.tensor([moment], dtype=torch.float32))[
        0
    ]


class VideoObjective(Objective):
    signal: Video
    shown = "frames of target, fit, error"

    def frame(self, field: Field, moment: float) -> np.ndarray:
        """The picture at the clip's own size."""
        width, height, _ = self.signal.domain.shape
        return frame_at(field, moment, width, height)

    def evaluate(self, field: Field) -> dict[str, float]:
        """Means over the withheld frames where there are any, else over all; MS-SSIM where the short side is at least 161."""
        scores = [self._score(field, index) for index in self.signal.evaluation_frames()]
        return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}

    def _score(self, field: Field, index: int) -> dict[str, float]:
        return metrics.picture_metrics(
            self.frame(field, self.signal.times[index]), self.signal.values(index), self.signal.channels
        )

    def evaluation_seconds(self, field: Field) -> float:
        """From one frame in the middle, the second time that it is done."""
        frames = self.signal.evaluation_frames()
        for _ in range(2):
            begun = time.perf_counter()
            self._score(field, frames[len(frames) // 2])
            spent = time.perf_counter() - begun
        return spent * len(frames)

    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        """The frame of the fit in the middle of the clip."""
        frame = self.frame(field, self.signal.times[len(self.signal.times) // 2])
        step = -(-max(frame.shape[:2]) // longest_side)
        return to_bytes(frame[::step, ::step])

    def save_preview(self, field: Field, path: Path) -> None:
        """Columns of four frames (withheld ones where there are any); rows of target, fit, ten times their difference."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        frames = self.signal.evaluation_frames()
        chosen = frames[np.linspace(0, len(frames) - 1, min(PANELS, len(frames))).round().astype(int)]
        width, height, _ = self.signal.domain.shape
        size = min(width, PANEL_WIDTH), max(1, round(height * min(1.0, PANEL_WIDTH / width)))
        columns = []
        for index in chosen:
            target, fit = self.signal.values(index), self.frame(field, self.signal.times[index])
            panels = [to_bytes(target), to_bytes(fit), to_bytes(np.abs(np.clip(fit, 0, 1) - target) * ERROR_GAIN)]
            small = [np.asarray(Pillow.fromarray(panel).resize(size)) for panel in panels]
            columns.append(
                np.concatenate([np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in small])
            )
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate(columns, axis=1)[:-GAP, :-GAP]).save(temporary)
