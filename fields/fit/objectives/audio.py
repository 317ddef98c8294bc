"""The objective of sounds."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from fields.fit.metrics import samples as metrics
from fields.fit.objectives.base import Objective
from fields.models.field import PointField
from fields.render.raster import centres, lattice
from scenes.audio.signal import Audio
from scenes.audio.spectrogram import level_colors, power_levels

PANEL = 960, 240
MARGIN = 20


class AudioObjective(Objective):
    signal: Audio
    shown = "spectrograms of target, fit and error"

    def __init__(self, signal: Audio, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        super().__init__(signal, loss, gradient_terms)
        self._power = float(np.square(signal.values(), dtype=np.float64).mean())

    def running_quality(self, loss: float) -> tuple[str, float]:
        if self.loss_name == "l2":
            return "snr", 10.0 * math.log10(self._power / max(loss, self._power * 1e-12))
        return "loss", loss

    @torch.no_grad()
    def evaluate(self, field: PointField) -> dict[str, float]:
        """Of the withheld samples where there are any (SNR only), else of the whole sound."""
        sound = self.signal
        if sound.held_out is None:
            return metrics.sound_metrics(lattice(field, centres(sound.num_samples)), sound.values())
        device = next(field.parameters()).device
        parts = [
            (field(torch.from_numpy(coords).to(device)).cpu().numpy(), values)
            for coords, values in sound.held_out_samples()
        ]
        prediction, target = (np.concatenate(part) for part in zip(*parts))
        return {"snr": metrics.snr(prediction, target)}

    def evaluation_seconds(self, field: PointField) -> float:
        """From a stretch of at most 65,536 samples in the middle."""
        sound = self.signal
        count = min(1 << 16, sound.num_samples)
        first = (sound.num_samples - count) // 2
        begun = time.perf_counter()
        values = lattice(field, centres(count, first / sound.num_samples, (first + count) / sound.num_samples))
        metrics.sound_metrics(values, sound.values(slice(first, first + count)))
        return (time.perf_counter() - begun) * sound.num_samples / count

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The spectrogram of the fit."""
        return self._panels(field, min(longest_side, PANEL[0]), min(longest_side, PANEL[1]))[1]

    def target(self, longest_side: int = 1024) -> np.ndarray:
        return level_colors(
            power_levels(self.signal.values(), min(longest_side, PANEL[0]), min(longest_side, PANEL[1]))[0]
        )

    def save_preview(self, field: PointField, path: Path) -> None:
        """Spectrograms of target, fit and their difference below each other, all with the target's loudest as 0 dB."""
        from PIL import Image as Pillow
        from PIL import ImageDraw

        from scenes.io.atomic import atomic_write

        panels = self._panels(field, *PANEL)
        width, height = PANEL
        sheet = Pillow.new("RGB", (width, (height + MARGIN) * len(panels)), (255, 255, 255))
        pen = ImageDraw.Draw(sheet)
        axis = self.signal.domain.axes[0]
        for row, (name, panel) in enumerate(zip(("target", "fit", "error"), panels)):
            top = row * (height + MARGIN)
            pen.text(
                (4, top + 4),
                f"{name}: {axis.lower:.2f} to {axis.upper:.2f} s, 0 to {self.signal.rate / 2000:g} kHz, 80 dB",
                (0, 0, 0),
            )
            sheet.paste(Pillow.fromarray(panel), (0, top + MARGIN))
        with atomic_write(path) as temporary:
            sheet.save(temporary)

    def _panels(self, field: PointField, width: int, height: int) -> list[np.ndarray]:
        target = self.signal.values()
        fit = lattice(field, centres(self.signal.num_samples))
        level, reference = power_levels(target, width, height)
        return [
            level_colors(level),
            *(level_colors(power_levels(part, width, height, reference)[0]) for part in (fit, fit - target)),
        ]
