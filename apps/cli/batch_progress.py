"""Progress of a batch on the terminal: a bar with the items and the time left, and plain lines in a log file."""

from __future__ import annotations

import sys
import time

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from apps.cli.terminal import error_console, shows_bars
from fields.batch.batch import Progress as BatchState

# Seconds between updates of the bar, and between lines in a log.
REFRESH_SECONDS = 0.1
LINE_SECONDS = 5.0


class BatchProgress:
    """A report of `Batch.run` and a context manager. It writes to standard error only."""

    def __init__(self) -> None:
        self.console = error_console()
        self.bar = Progress(
            SpinnerColumn(), BarColumn(), TextColumn("{task.fields[state]}"), console=self.console, transient=True
        )
        self.task = self.bar.add_task("batch", total=None, state="")
        self._next = 0.0

    def __enter__(self) -> BatchProgress:
        if shows_bars(self.console):
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if shows_bars(self.console):
            self.bar.stop()

    def __call__(self, state: BatchState) -> None:
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + (REFRESH_SECONDS if shows_bars(self.console) else LINE_SECONDS)
        left = "" if state.seconds_left is None else f", {_span(state.seconds_left)} left"
        failed = f", {state.failed} failed" if state.failed else ""
        text = f"{state.done}/{state.total} items{failed}{left}   {state.doing}"
        self.bar.update(self.task, completed=state.done, total=state.total, state=escape(text))
        if not shows_bars(self.console):
            print(text, file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
