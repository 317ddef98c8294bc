"""A distillation as a job of the queue; `fields.distill` does the work, as for the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import scenes
from apps.studio.jobs import FitJob
from fields.distill import distill
from fields.distill.stages import Stages
from fields.fit.fit import Fit
from fields.fit.run import Run
from fields.fit.trainer import Trainer
from scenes.signal import Signal


@dataclass(frozen=True)
class DistillOrder:
    """Which run becomes which method; the names are those of the command line's options."""

    teacher: Path
    into: str
    options: dict = field(default_factory=dict)
    seconds: float | None = 30.0
    params: int | None = None
    seed: int = 0
    steps: int | None = None
    bits: int = 32
    stages: Stages = field(default_factory=Stages)
    share_heads: bool = False
    device: str = "auto"
    data: str | None = None


class DistillJob(FitJob):
    """What is shown as the target is the teacher."""

    _data: Signal | None = None

    def sources(self) -> list[str]:
        return [self.order.data] if self.order.data else []

    def _new(self, started: float) -> tuple[Trainer, Run]:
        order = self.order
        teacher = Run.open(order.teacher)
        # Told before the work, not after it.
        self._data = scenes.load(order.data, teacher.header["kind"]) if order.data else None
        return distill.prepare(teacher, order.into, steps=order.steps, seconds=order.seconds, parameters=order.params, seed=order.seed,
                               device=order.device, bits=order.bits, options=dict(order.options), stages=order.stages,
                               share_heads=order.share_heads, out=self.path, started=started)

    def _watch(self, trainer: Trainer) -> None:
        super()._watch(trainer)
        self.message = f"stage: {trainer.objective.stage}"

    def _finished(self, result: Fit, run: Run) -> None:
        shared = run.header["shared"]
        self.message = "the scores are against the teacher" + (f"; shared with it: {', '.join(shared)}" if shared else "")
        if self._data is not None:
            scores = distill.score_on_data(run, result.field, self._data)
            self.message += "; on the data: " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in scores.items())
            self._data = None
