"""Quality against time while a field is fitted: the loss of one fixed batch of samples."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from fields.fit.trainer import Trainer
from scenes.io.atomic import append_line, atomic_write_bytes

# Fraction of a fit's time that the curve may take.
COST = 0.03
# The first row is written after the first step, each next one when the time has grown by this factor.
GROWTH = 1.12
# Samples of the fixed batch.
POINTS = 16384
# Batches up to this size count whole frames instead of points, and are used as they are.
MAX_FRAMES = 256
# Part of a fit's time at its end over which the gain is told, and the gain in dB from which a fit has not converged.
LAST_PART = 0.25
STEEP = 2.0
# Measures in decibels.
DECIBELS = ("psnr", "snr")
# Seed of the fixed batch, which no fit has by accident.
SEED = 0x5EED_0F_C04E


class Curve:
    """A callback of the trainer that appends rows `{"step", "seconds", "measure", "value"}` to a file.

    All methods are scored on the same samples with the same measure, whatever batches they train with.
    """

    def __init__(self, trainer: Trainer, file: Path) -> None:
        self.file = file
        objective = trainer.objective
        count = POINTS if trainer.method.batch > MAX_FRAMES else trainer.method.batch
        self._batch = objective.batch(0, count, SEED, trainer.device)
        self._mode = nullcontext if objective.gradient_terms else torch.no_grad
        rows = [row for row in read_curve(file) if row["step"] <= trainer.index]
        atomic_write_bytes(file, "".join(json.dumps(row) + "\n" for row in rows).encode())
        self._next = rows[-1]["seconds"] * GROWTH if rows else 0.0
        self._last = rows[-1]["step"] if rows else -1

    def __call__(self, trainer: Trainer) -> None:
        if trainer.elapsed < self._next and not (trainer.done and trainer.index != self._last):
            return
        begun = time.perf_counter()
        with self._mode():
            loss = float(trainer.objective.loss(trainer.field, self._batch))
        name, value = trainer.objective.running_quality(loss)
        row = {"step": trainer.index, "seconds": round(trainer.elapsed, 4), "measure": name, "value": value}
        append_line(self.file, json.dumps(row))
        self._last = trainer.index
        self._next = max(trainer.elapsed * GROWTH, trainer.elapsed + (time.perf_counter() - begun) / COST)


def late_gain(rows: list[dict]) -> float | None:
    """What a fit gained in the last quarter of its time, in dB; None for curves of fewer than two rows.

    A loss counts as the square of an error would: a tenth of it is 10 dB.
    """
    if len(rows) < 2:
        return None
    seconds = np.array([row["seconds"] for row in rows])
    values = np.array([row["value"] for row in rows], float)
    if rows[0]["measure"] not in DECIBELS:
        values = -10.0 * np.log10(np.maximum(values, 1e-12))
    return float(values[-1] - np.interp((1.0 - LAST_PART) * seconds[-1], seconds, values))


def read_curve(file: Path) -> list[dict]:
    """The rows of a curve, without an incomplete last line that a killed fit may leave."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(line) for line in lines]
