"""A fit as a job: the same trainer as on the command line, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import fields.fit.fit as fitting
from apps.studio import thumbnails
from apps.studio.job import Job
from apps.studio.live_preview import LivePreview
from apps.studio.messages import note_for_page
from fields.fit.request import FitRequest
from fields.fit.trainer import Trainer
from fields.runs.run import Run

Callback = Callable[[Trainer], None]


class TrainingJob(Job):
    """A job that makes one run: a fit or a distillation, or the continuation of a run whose folder exists."""

    def work(self) -> None:
        started = time.perf_counter()
        trainer, run = self._resume(started) if (self.path / "run.json").is_file() else self._prepare(started)
        signal = trainer.objective.signal
        self.kind = signal.kind
        self.info = (
            f"{signal.describe()} · {trainer.method.name} · {trainer.field.num_parameters:,} parameters "
            f"· {trainer.field.backend}"
        )
        self.message = " · ".join(map(note_for_page, signal.notes))
        preview = LivePreview(self, trainer)
        self._set_running(trainer)
        result = fitting.finish(trainer, run, [preview, *self._callbacks()])
        self.metrics, self.step, self.total, self.elapsed = result.metrics, result.steps, trainer.total, result.seconds
        preview.draw()
        thumbnails.write(self.path, self.images["fit"])
        if result.finished:
            self._after_finish(result, run)
        self._set_ended(result.finished)

    def _prepare(self, started: float) -> tuple[Trainer, Run]:
        """The trainer and the run of a new fit. `started`: the time from which its budget counts."""
        raise NotImplementedError

    def _resume(self, started: float) -> tuple[Trainer, Run]:
        """The trainer of the run in the job's folder, as its last checkpoint left it."""
        raise NotImplementedError

    def _callbacks(self) -> list[Callback]:
        """Callbacks of the trainer besides the preview."""
        return []

    def _after_finish(self, result: fitting.Fit, run: Run) -> None:
        """Called when training has come to its end."""


class FitJob(TrainingJob):
    """A fit to a signal. `request`: None for the continuation of a run."""

    def __init__(self, name: str, path: Path, request: FitRequest | None = None) -> None:
        super().__init__(name, path)
        self.request = request

    def sources(self) -> list[str]:
        if self.request is None:
            return []
        options = self.request.loader_options().values()
        return [str(self.request.source), *(value for value in options if isinstance(value, str))]

    def _prepare(self, started: float) -> tuple[Trainer, Run]:
        assert self.request is not None, "a new fit has a request"
        signal = self.request.load()
        request = self.request.model_copy(update={"out": self.path})
        trainer, run = fitting.prepare_request(signal, request, started=started)
        assert run is not None
        return trainer, run

    def _resume(self, started: float) -> tuple[Trainer, Run]:
        run = Run.open(self.path)
        return fitting.resume(fitting.reopen(run), run, started=started), run
