"""A comparison as a job: `fields.compare` does the work, as for the command."""

from __future__ import annotations

from pathlib import Path

from apps.studio.fit_job import Callback
from apps.studio.job import Job
from fields.compare.comparison import Comparison
from fields.compare.report import body, subtitle, write_report
from fields.compare.request import CompareRequest
from fields.fit.trainer import Trainer
from fields.runs.run import Run


class CompareJob(Job):
    """A comparison, new or continued. Its `page` holds what is known so far: the table, the curves and the images."""

    type = "comparison"

    def __init__(self, name: str, path: Path, request: CompareRequest) -> None:
        super().__init__(name, path)
        self.request = request
        self._comparison: Comparison | None = None

    def pause(self) -> None:
        super().pause()
        self._stop_comparison()

    def stop(self) -> None:
        super().stop()
        self._stop_comparison()

    def _stop_comparison(self) -> None:
        if (comparison := self._comparison) is not None and self.state == "stopping":
            comparison.stop()

    def sources(self) -> list[str]:
        return [str(self.request.source)]

    def work(self) -> None:
        comparison = self._comparison = Comparison.create(self.request, self.path)
        self.info = subtitle(comparison.header)
        try:
            # It may have been asked to stop while the comparison was created.
            self._stop_comparison()
            finished = comparison.run(self.request, self._begin_fit)
            write_report(comparison)
            self._show(comparison)
        finally:
            self._comparison = None
        self.message = ""
        self._set_ended(finished)

    def _begin_fit(self, trainer: Trainer, run: Run) -> list[Callback]:
        """Called before each fit of the comparison; returns callbacks for it."""
        comparison = self._comparison
        assert comparison is not None
        done, header = len(comparison.rows), run.header
        self.message = f"fit {done + 1} of {len(comparison.wanted)}: {header['method']}, seed {header['seed']}"
        if done:
            self._show(comparison)
        self._set_running(trainer)
        return [self._report_progress]

    def _report_progress(self, trainer: Trainer) -> None:
        self.step, self.total, self.elapsed = trainer.index, trainer.total, trainer.elapsed

    def _show(self, comparison: Comparison) -> None:
        self.page = body(comparison)
        self.version += 1


def preview_of(path: Path) -> Path:
    """The image that the gallery shows for the comparison in a folder."""
    crops = path / "crops.png"
    return crops if crops.is_file() else path / "target.png"
