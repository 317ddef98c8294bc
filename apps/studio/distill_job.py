"""A distillation as a job: `fields.distill` does the work, as for the command."""

from __future__ import annotations

from pathlib import Path

from apps.studio.fit_job import Callback, TrainingJob
from fields.distill import distill
from fields.distill.request import DistillRequest
from fields.fit.fit import Fit, load_like
from fields.fit.trainer import Trainer
from fields.runs.run import Run
from scenes.signal import Signal


class DistillJob(TrainingJob):
    """A distillation. Its images show the teacher as the target. `request`: None for the continuation of a run."""

    type = "distillation"

    def __init__(self, name: str, path: Path, request: DistillRequest | None = None) -> None:
        super().__init__(name, path)
        self.request = request
        # The signal on which the student is also scored.
        self._data: Signal | None = None

    def sources(self) -> list[str]:
        return [self.request.data] if self.request and self.request.data else []

    def _prepare(self, started: float) -> tuple[Trainer, Run]:
        assert self.request is not None and self.request.teacher is not None, "a new distillation has a request"
        teacher = Run.open(self.request.teacher)
        # Data that do not fit are reported before the work, not after it.
        self._load_data(self.request, teacher)
        if self._data is not None:
            distill.check_data(self._data, teacher)
        request = self.request.model_copy(update={"out": self.path})
        trainer, run = distill.prepare_request(teacher, request, started=started)
        assert run is not None
        return trainer, run

    def _resume(self, started: float) -> tuple[Trainer, Run]:
        run = Run.open(self.path)
        # The data are loaded already unless the studio was restarted.
        if self._data is None:
            self._load_data(DistillRequest.from_header(run.header), run)
        return distill.resume(run, started=started), run

    def _load_data(self, request: DistillRequest, run: Run) -> None:
        self._data = load_like(request.data, run) if request.data else None

    def _callbacks(self) -> list[Callback]:
        return [self._report_stage]

    def _report_stage(self, trainer: Trainer) -> None:
        self.message = f"stage: {trainer.stage}"

    def _after_finish(self, result: Fit, run: Run) -> None:
        parts = ["the scores compare it with the original"]
        if shared := run.header["shared"]:
            parts.append(f"taken over from it: {', '.join(shared)}")
        if self._data is not None:
            scores = distill.score_on_data(run, result.field, self._data)
            values = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in scores.items())
            parts.append(f"on the signal: {', '.join(values)}")
            self._data = None
        self.message = "; ".join(parts)
