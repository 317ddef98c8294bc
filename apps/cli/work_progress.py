"""Progress of long work outside of fits: from the first second a bar, or lines in a log, with the time left."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Self

from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from apps.cli.terminal import error_console, shows_bars

# Seconds between updates of a bar; and in a log, before the first line and between lines.
REFRESH_SECONDS = 0.2
FIRST_LINE_SECONDS = 1.0
LINE_SECONDS = 5.0
# Fraction of a stage from which on its pace tells the time left.
MIN_FRACTION = 0.03


class WorkProgress:
    """Shows what a command is doing, how far it is, and how long it will still take. A context manager.

    A thread of its own keeps the time, also while the work itself cannot report: packages are imported, a file is read.

    work: what is done, such as "export".
    """

    def __init__(self, work: str, options: argparse.Namespace) -> None:
        self._options = options
        self._console = error_console()
        columns = (SpinnerColumn(), TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bar = Bar(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("work", total=None, name=work, state="")
        self._work, self._stage = work, "loading"
        self._expected: float | None = None
        self._done = 0.0
        self._began = time.perf_counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

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

    def begin(self, stage: str, seconds: float | None = None) -> None:
        """Begin the next stage of the work, which is expected to take so many seconds; None: that is not known."""
        self._stage, self._expected = stage, seconds
        self._done, self._began = 0.0, time.perf_counter()

    def stage(self, name: str) -> None:
        """Name what is done now, while the fraction goes on."""
        self._stage = name

    def fraction(self, done: float) -> None:
        """The fraction of the stage that is done, from 0 to 1."""
        self._done = min(max(done, 0.0), 1.0)

    def message(self, text: str) -> None:
        """Print a sentence, in which arguments are shown as flags."""
        from apps.cli.messages import with_flags

        self._print(with_flags(text, self._options))

    def _print(self, text: str) -> None:
        if shows_bars(self._console):
            self._console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        bars = shows_bars(self._console)
        pause = REFRESH_SECONDS if bars else FIRST_LINE_SECONDS
        while not self._ended.wait(pause):
            fraction, state = self._state()
            if bars:
                self._bar.update(self._task, completed=fraction, total=None if fraction is None else 1.0, state=state)
            else:
                print(f"{self._work}: {state}", file=sys.stderr, flush=True)
                pause = LINE_SECONDS

    def _state(self) -> tuple[float | None, str]:
        """The fraction of the stage that is done, None where that is not known, and a text about it."""
        spent = time.perf_counter() - self._began
        done = self._done
        if not done and self._expected:
            done = min(0.99, spent / self._expected)
        if not done:
            return None, f"{self._stage}, {spent:.0f} s"
        if done >= 1.0:
            return done, f"{self._stage}, finishing"
        if self._done and done < MIN_FRACTION:
            return done, f"{self._stage}, {done:.0%}, {spent:.0f} s"
        left = spent * (1.0 - done) / done if self._done else max(0.0, (self._expected or 0.0) - spent)
        return done, f"{self._stage}, {done:.0%}, {left:.0f} s left"
