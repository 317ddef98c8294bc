"""A distillation as a job of the queue; `fields.distill` does the work, as for the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from apps.studio.jobs import FitJob
from fields.distill import distill
from fields.fit.run import Run
from fields.fit.trainer import Trainer


@dataclass(frozen=True)
class DistillOrder:
    """Which run becomes which method; the names are those of the command line's options."""

    teacher: Path
    into: str
    options: dict = field(default_factory=dict)
    seconds: float = 30.0
    params: int | None = None
    seed: int = 0


class DistillJob(FitJob):
    """What is shown as the target is the teacher."""

    def _new(self, started: float) -> tuple[Trainer, Run]:
        order = self.order
        return distill.prepare(Run.open(order.teacher), order.into, seconds=order.seconds, parameters=order.params, seed=order.seed,
                               options=dict(order.options), out=self.path, started=started)

    def _watch(self, trainer: Trainer) -> None:
        super()._watch(trainer)
        self.message = f"stage: {trainer.objective.stage}"
