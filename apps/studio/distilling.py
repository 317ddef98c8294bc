"""A distillation as a job of the queue; `fields.distill` does the work, as for the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from apps.studio.jobs import FitJob
from fields.distill import distill
from fields.distill.stages import Stages
from fields.fit.fit import Fit, open_other
from fields.fit.trainer import Trainer
from fields.runs.run import Run
from scenes.signal import Signal

DATA = "also_scored_on"  # what a run's header calls the data of its order


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

    @classmethod
    def again(cls, header: dict) -> DistillOrder:
        """The one that a run was distilled by."""
        return cls(
            Path(header["teacher"]["path"]),
            header["method"],
            header["options"],
            header["seconds"],
            seed=header["seed"],
            steps=header["steps"],
            bits=header["bits"],
            stages=Stages(**header["stages"]),
            share_heads=header["share_heads"],
            data=header.get(DATA),
        )


class DistillJob(FitJob):
    """What is shown as the target is the teacher."""

    _data: Signal | None = None

    def sources(self) -> list[str]:
        return [self.order.data] if self.order and self.order.data else []

    def _new(self, started: float) -> tuple[Trainer, Run]:
        order = self.order
        teacher = Run.open(order.teacher)
        # Told before the work, not after it.
        self._data = open_other(order.data, teacher) if order.data else None
        if self._data is not None:
            distill.check_data(self._data, teacher)
        trainer, run = distill.prepare(
            teacher,
            order.into,
            steps=order.steps,
            seconds=order.seconds,
            parameters=order.params,
            seed=order.seed,
            device=order.device,
            bits=order.bits,
            options=dict(order.options),
            stages=order.stages,
            share_heads=order.share_heads,
            out=self.path,
            started=started,
        )
        run.write_header(**{DATA: order.data})
        return trainer, run

    def _continued(self, started: float) -> tuple[Trainer, Run]:
        run = Run.open(self.path)
        if run.header.get(DATA) and self._data is None:  # (None also after a restart)
            self._data = open_other(run.header[DATA], run)
        return super()._continued(started)

    def _watch(self, trainer: Trainer) -> None:
        super()._watch(trainer)
        self.message = f"stage: {trainer.objective.stage}"

    def _finished(self, result: Fit, run: Run) -> None:
        shared = run.header["shared"]
        self.message = "the scores are against the teacher" + (
            f"; shared with it: {', '.join(shared)}" if shared else ""
        )
        if self._data is not None:
            scores = distill.score_on_data(run, result.field, self._data)
            self.message += "; on the data: " + ", ".join(
                f"{name.replace('_', ' ')} {value:.4g}" for name, value in scores.items()
            )
            self._data = None
