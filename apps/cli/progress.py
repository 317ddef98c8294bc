"""Progress of a fit on the terminal: a bar with rate, quality and time left, and plain lines in a log file."""

from __future__ import annotations

import sys
import time
from itertools import chain

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from apps.cli.messages import command_line
from apps.cli.terminal import error_console, shows_bars
from fields.fit.scoring import ScoredPart
from fields.fit.trainer import Trainer
from fields.kinds import output_for
from fields.runs.run import Run
from scenes.signal import Signal

# Seconds between updates of the bar, and between lines in a log.
REFRESH_SECONDS = 0.1
LINE_SECONDS = 5.0
# Metrics in decibels.
DECIBELS = ("psnr", "test_psnr", "psnr_alpha", "snr")
# Up to so many views, the scores of all are printed ...
MAX_VIEWS = 30
# ... else so many of the worst and as many of the best.
SHOWN_VIEWS = 5


class FitProgress:
    """A callback of the trainer and a context manager. It writes to standard error only."""

    def __init__(self, signal: Signal, trainer: Trainer, run: Run) -> None:
        self.console = error_console()
        self.console.print(f"[bold]{escape(str(signal.source['path']))}[/]  {escape(signal.describe())}")
        self.console.print(
            f"{trainer.method.name}: {trainer.field.num_parameters:,} parameters, {trainer.field.backend}"
            f"{', fused step' if trainer.fused else ''} on {trainer.device}, run {escape(str(run.path))}",
            soft_wrap=True,
        )
        self.run = run
        self.trainer = trainer
        self.bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task("fit", total=None, state="measuring the rate")
        self._next = 0.0
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> FitProgress:
        self.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.stop()
        if kind is None:
            self._report()

    def start(self) -> None:
        """Show the bar, on a terminal."""
        if shows_bars(self.console):
            self.bar.start()

    def stop(self) -> None:
        """Remove the bar."""
        if shows_bars(self.console):
            self.bar.stop()

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        self._first = self._first or (now, trainer.index)
        if now < self._next:
            return
        self._next = now + (REFRESH_SECONDS if shows_bars(self.console) else LINE_SECONDS)
        rate = (trainer.index - self._first[1]) / max(now - self._first[0], 1e-9)
        name, value = trainer.objective.running_quality(trainer.loss)
        quality = f"{'test ' * name.startswith('test')}{value:.2f} dB" if name in DECIBELS else f"loss {value:.3g}"
        state = (
            f"{trainer.stage}  " * bool(trainer.stage)
            + f"{trainer.index:,}/{trainer.total or '?'} steps  {rate:.1f}/s  {quality}"
        )
        self.bar.update(self.task, completed=trainer.index, total=trainer.total, state=state)
        if not shows_bars(self.console) and trainer.total:
            left = (trainer.total - trainer.index) / rate if rate else 0
            print(f"{state}  {left:.0f} s left", file=sys.stderr, flush=True)

    def _report(self) -> None:
        """Print the scores, and where the files are."""
        stored = self.run.metrics()
        assert stored is not None
        scores = "   ".join(
            f"[bold]{name}[/] {value:.4g}{' dB' if name in DECIBELS else ''}"
            for name, value in stored["metrics"].items()
        )
        against = "against the teacher: " * ("teacher" in self.run.header)
        part = f" of {ScoredPart.from_json(stored['scored'])}" if "scored" in stored else ""
        self.console.print(f"\n{against}{scores}{part}   after {stored['steps']:,} steps in {stored['seconds']:.1f} s")
        if "views" in stored:
            self.console.print(_table(stored["views"]))
        # Names of files are neither markup nor broken at the edge of the window: they are copied.
        preview = self.run.path / "preview.png"
        self.console.print(escape(f"  image    {preview}   ({self.trainer.objective.shown})"), soft_wrap=True)
        self.console.print(escape(f"  field    {self.run.weights}   ({stored['bytes']:,} bytes)"), soft_wrap=True)
        suggestion = output_for(self.run.header["kind"], self.trainer.field).suggested_options
        flags = [[f"--{name}"] if value is True else [f"--{name}", value] for name, value in suggestion.items()]
        look = command_line("render", self.run.path, *chain(*flags))
        self.console.print(escape(f"  look     {look}"), soft_wrap=True)


def _table(views: list[dict]) -> Table:
    """Scores of the test views; of many views those of the worst and of the best."""
    table = Table("view", *(name for name in views[0] if name != "name"), box=None, padding=(0, 2))
    if len(views) > MAX_VIEWS:
        ranked = sorted(views, key=lambda view: view["psnr"])
        more = {"name": f"... {len(views) - 2 * SHOWN_VIEWS} more in metrics.json"}
        views = [*ranked[:SHOWN_VIEWS], more, *ranked[-SHOWN_VIEWS:]]
    for view in views:
        table.add_row(*(escape(value) if name == "name" else f"{value:.4g}" for name, value in view.items()))
    return table
