"""A bar on a terminal, or lines in a log, that a thread of its own keeps up to date."""

from __future__ import annotations

import sys
import threading
from typing import NamedTuple, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from apps.cli.terminal import error_console, shows_bars

# Seconds between updates of a bar.
REFRESH_SECONDS = 0.2


class Shown(NamedTuple):
    """What a bar shows: how much is done, None where that is not known, its text, and the line of a log."""

    fraction: float | None
    name: str
    state: str
    line: str


class TickingBar:
    """Shows how far work is, on standard error. A context manager.

    The thread shows the time also while the work itself cannot report: packages are imported, a file is read.
    """

    def __init__(self) -> None:
        self._console = error_console()
        columns = (SpinnerColumn(), TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("work", total=None, name="", state="")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def _shown(self) -> Shown | None:
        """What is shown now; None: what was shown before."""
        raise NotImplementedError

    def _line_seconds(self, first: bool) -> float:
        """Seconds before the first line of a log, and between lines."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if shows_bars(self._console):
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the bar, and print no more lines. May be called again."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        # (rich prints an empty line for a bar that was never shown.)
        if shows_bars(self._console):
            self._bar.stop()

    def _print(self, text: str) -> None:
        if shows_bars(self._console):
            self._console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        bars = shows_bars(self._console)
        pause = REFRESH_SECONDS if bars else self._line_seconds(first=True)
        while not self._ended.wait(pause):
            if (shown := self._shown()) is None:
                continue
            if bars:
                total = None if shown.fraction is None else 1.0
                self._bar.update(self._task, completed=shown.fraction, total=total, name=shown.name, state=shown.state)
            else:
                print(shown.line, file=sys.stderr, flush=True)
                pause = self._line_seconds(first=False)
