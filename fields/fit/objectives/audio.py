"""The objective of audio."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import Objective, held_out_values
from fields.fit.scoring import estimated_seconds, parts_within, scored_part
from fields.models.field import PointField
from fields.render.raster import evaluate_lattice, sample_centers
from scenes.audio.signal import Audio
from scenes.audio.spectrogram import level_colors, power_levels

# Size of a spectrogram in a preview, and height of its heading, in pixels.
PANEL = 960, 240
HEADING = 20
# Samples by which the time of an evaluation is first estimated, and samples of a part that may be left out.
ESTIMATE_SAMPLES = 1 << 13
PART_SAMPLES = 1 << 16
# Smallest error by the signal's power that is told: 120 dB.
MIN_RELATIVE_ERROR = 1e-12


class AudioObjective(Objective[Audio, PointField]):
    """Fits the samples of audio at times."""

    shown = "spectrograms of target, fit and error"

    def __init__(self, signal: Audio, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        super().__init__(signal, loss, gradient_terms)
        self._power = float(np.square(signal.values(), dtype=np.float64).mean())

    def running_quality(self, loss: float) -> tuple[str, float]:
        if self.loss_name == "l2":
            return "snr", 10.0 * math.log10(self._power / max(loss, self._power * MIN_RELATIVE_ERROR))
        return "loss", loss

    @torch.no_grad()
    def evaluate(self, field: PointField, seconds: float = math.inf) -> dict[str, float]:
        """Metrics of the held-out samples where there are any (SNR only), else of all audio. SNR only of a part."""
        audio = self.signal
        if audio.held_out is not None:
            prediction, target, self.scored = held_out_values(field, audio.held_out_samples(), seconds)
            return {"snr": metrics.snr(prediction, target)}
        centers = sample_centers(audio.num_samples)
        prediction = np.empty((audio.num_samples, len(audio.channels)), np.float32)
        known = np.zeros(audio.num_samples, bool)
        for index in parts_within(-(-audio.num_samples // PART_SAMPLES), seconds):
            part = slice(index * PART_SAMPLES, (index + 1) * PART_SAMPLES)
            prediction[part] = evaluate_lattice(field, centers[part])
            known[part] = True
        self.scored = scored_part(int(known.sum()), len(known), "samples")
        if self.scored is None:
            return metrics.audio_metrics(prediction, audio.values())
        return {"snr": metrics.snr(prediction[known], audio.values()[known])}

    def evaluation_seconds(self, field: PointField) -> float:
        """Estimate from some samples in the middle."""
        audio = self.signal
        centers = sample_centers(audio.num_samples)

        def score(count: int) -> None:
            first = (audio.num_samples - count) // 2
            part = slice(first, first + count)
            metrics.audio_metrics(evaluate_lattice(field, centers[part]), audio.values(part))

        return estimated_seconds(score, audio.num_samples, ESTIMATE_SAMPLES)

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The spectrogram of the fit."""
        return self._panels(field, min(longest_side, PANEL[0]), min(longest_side, PANEL[1]))[1]

    def target(self, longest_side: int = 1024) -> np.ndarray:
        """The spectrogram of the signal."""
        width, height = (min(longest_side, side) for side in PANEL)
        return level_colors(power_levels(self.signal.values(), width, height)[0])

    def save_preview(self, field: PointField, path: Path) -> None:
        """Write spectrograms of target, fit and their difference, one below the other.

        In all of them 0 dB is the loudest level of the target.
        """
        from PIL import Image as Pillow
        from PIL import ImageDraw

        from scenes.io.atomic import atomic_write

        panels = self._panels(field, *PANEL)
        width, height = PANEL
        sheet = Pillow.new("RGB", (width, (height + HEADING) * len(panels)), (255, 255, 255))
        pen = ImageDraw.Draw(sheet)
        axis = self.signal.domain.axes[0]
        axes = f"{axis.lower:.2f} to {axis.upper:.2f} s, 0 to {self.signal.rate / 2000:g} kHz, 80 dB"
        for row, (name, panel) in enumerate(zip(("target", "fit", "error"), panels)):
            top = row * (height + HEADING)
            pen.text((4, top + 4), f"{name}: {axes}", (0, 0, 0))
            sheet.paste(Pillow.fromarray(panel), (0, top + HEADING))
        with atomic_write(path) as temporary:
            sheet.save(temporary)

    def _panels(self, field: PointField, width: int, height: int) -> list[np.ndarray]:
        """Spectrograms of target, fit and their difference."""
        target = self.signal.values()
        fit = evaluate_lattice(field, sample_centers(self.signal.num_samples))
        levels, reference = power_levels(target, width, height)
        others = (power_levels(part, width, height, reference)[0] for part in (fit, fit - target))
        return [level_colors(levels), *map(level_colors, others)]
