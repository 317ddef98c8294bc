"""A comparison as a job of the queue; `fields.compare` does the work, as for the command."""

from __future__ import annotations

from pathlib import Path

from apps.studio.jobs import Job
from fields.compare.comparison import Comparison, Plan
from fields.compare.report import body, subtitle, write_report
from fields.fit.trainer import Trainer
from fields.runs.run import Run


class CompareJob(Job):
    """`page` is what is known so far as HTML: the table, the curves and the pictures."""

    def __init__(self, name: str, path: Path, plan: Plan) -> None:
        super().__init__(name, path)
        self.plan = plan
        self.page = ""
        self._comparison: Comparison | None = None
        self._next = 0.0

    def _ask(self, wish: str) -> None:
        super()._ask(wish)
        if (comparison := self._comparison) is not None and self.state == "stopping":
            comparison.stop()

    def sources(self) -> list[str]:
        return [self.plan.source]

    def work(self) -> None:
        comparison = self._comparison = Comparison.create(self.plan, self.path)
        self.info = subtitle(comparison.header)
        try:
            if self.state == "stopping":  # (asked for while it was made)
                comparison.stop()
            finished = comparison.run(self.plan, self._begin)
            write_report(comparison)
            self.page = body(comparison)
            self.version += 1
        finally:
            self._comparison = None
        self.message = ""
        self._ended(finished)

    def _begin(self, trainer: Trainer, run: Run):
        comparison = self._comparison
        done = len(comparison.rows)
        self.message = f"fit {done + 1} of {len(comparison.wanted)}: {run.header['method']}, seed {run.header['seed']}"
        if done:
            self.page = body(comparison)
            self.version += 1
        self._runs(trainer)
        return [self._watch]

    def _watch(self, trainer: Trainer) -> None:
        self.step, self.total, self.elapsed = trainer.index, trainer.total, trainer.elapsed


def plan_of(header: dict) -> Plan:
    """What a comparison compares, from its `comparison.json`."""
    return Plan(
        header["source"]["path"],
        tuple(header["methods"]),
        header["kind"],
        header["parameters"],
        None if header["steps"] else header["seconds"],
        header["steps"],
        header["seeds"],
        header["held_out"],
    )


def preview_of(path: Path) -> Path:
    """The picture by which a comparison is shown in the gallery."""
    return path / ("crops.png" if (path / "crops.png").is_file() else "target.png")
