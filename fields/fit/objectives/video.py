"""The objective of videos, for fields of points (x, y, t)."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TypeVar

import numpy as np

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import ERROR_GAIN, Objective
from fields.fit.scoring import parts_within, scored_part
from fields.models.field import Field, PointField
from fields.render.video_frame import render_frame
from scenes.image.color import to_bytes
from scenes.video.signal import Video, in_true_shape

F = TypeVar("F", bound=Field)

# Frames in a preview, their width at most, and the space between them, in pixels.
PANELS = 4
PANEL_WIDTH = 320
GAP = 6


class FramesOfVideo(Objective[Video, F]):
    """What the objectives of videos share: they score and show whole frames."""

    shown = "frames of target, fit, error"

    def frame(self, field: F, moment: float) -> np.ndarray:
        """The frame `[H, W, C]` float32 at `moment` in [0, 1], in the video's own size."""
        width, height, _ = self.signal.domain.grid_shape
        return render_frame(field, moment, width, height)

    def evaluate(self, field: F, seconds: float = math.inf) -> dict[str, float]:
        """Mean metrics of the held-out frames where there are any, else of all frames."""
        frames = self.signal.evaluation_frames()
        scores = {n: self._score(field, int(frames[n])) for n in parts_within(len(frames), seconds)}
        self.scored = scored_part(len(scores), len(frames), "frames")
        return {name: float(np.mean([scores[n][name] for n in sorted(scores)])) for name in scores[0]}

    def evaluation_seconds(self, field: F) -> float:
        """Estimate from the frame in the middle. The first time it is scored does not count, as it is slower."""
        frames = self.signal.evaluation_frames()
        middle = int(frames[len(frames) // 2])
        self._score(field, middle)
        begun = time.perf_counter()
        self._score(field, middle)
        return (time.perf_counter() - begun) * len(frames)

    def preview(self, field: F, longest_side: int = 1024) -> np.ndarray:
        """The frame in the middle of the video."""
        frame = self._fitted_frame(field, len(self.signal.times) // 2)
        step = -(-max(frame.shape[:2]) // longest_side)
        return in_true_shape(to_bytes(frame[::step, ::step]), self.signal.domain)

    def save_preview(self, field: F, path: Path) -> None:
        """Write columns of up to four frames, held-out ones where there are any.

        The rows are target, fit and ten times their difference.
        """
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        frames = self.signal.evaluation_frames()
        chosen = frames[np.linspace(0, len(frames) - 1, min(PANELS, len(frames))).round().astype(int)]
        width, height = self.signal.domain.shown_size
        size = min(width, PANEL_WIDTH), max(1, round(height * min(1.0, PANEL_WIDTH / width)))
        columns = []
        for index in map(int, chosen):
            target, fit = self.signal.values(index), self._fitted_frame(field, index)
            panels = [to_bytes(target), to_bytes(fit), to_bytes(np.abs(np.clip(fit, 0, 1) - target) * ERROR_GAIN)]
            small = [np.asarray(Pillow.fromarray(panel).resize(size)) for panel in panels]
            framed = [np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in small]
            columns.append(np.concatenate(framed))
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate(columns, axis=1)[:-GAP, :-GAP]).save(temporary)

    def _fitted_frame(self, field: F, index: int) -> np.ndarray:
        return self.frame(field, float(self.signal.times[index]))

    def _score(self, field: F, index: int) -> dict[str, float]:
        return metrics.image_metrics(self._fitted_frame(field, index), self.signal.values(index), self.signal.channels)


class VideoObjective(FramesOfVideo[PointField]):
    """Fits the pixels of a video at points (x, y, t)."""
