"""Quality against time while a field is fitted: the loss of one fixed batch, now and then."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from fields.fit.trainer import Trainer
from scenes.io.atomic import atomic_write_bytes

# Of a fit's time at most; the first row after the first step, each next one after this share more of the time.
COST = 0.03
GROWTH = 1.12
POINTS = 16384
# The fixed batch is drawn with this seed, which no fit has by accident.
SEED = 0x5EED_0F_C04E


class Curve:
    """A Trainer callback that appends `{"step", "seconds", NAME: quality}` to a file.

    All methods are judged on the same samples with the same measure, whatever batches they train with.
    """

    def __init__(self, trainer: Trainer, file: Path) -> None:
        self.file = file
        objective = trainer.objective
        count = POINTS if trainer.method.batch > 256 else trainer.method.batch  # (whole frames are counted in dozens)
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
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._last = trainer.index
        self._next = max(trainer.elapsed * GROWTH, trainer.elapsed + (time.perf_counter() - begun) / COST)


def read_curve(file: Path) -> list[dict]:
    """The rows; what a cut-off write left of a last line is passed over."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]] if file.is_file() else []
