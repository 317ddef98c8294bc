"""Progress of a reconstruction on standard error: a bar for the stage with the time left, and lines in a log file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from apps.cli.terminal import error_console, shows_bars
from fields.export.scene_assets.reports import Reports

# Seconds between lines in a log file; no stage is silent for longer.
LINE_SECONDS = 1.5
# Seconds between updates of the bar.
REFRESH_SECONDS = 0.2
# Width of the names of stages.
NAME_WIDTH = 9


class ReconstructProgress(Reports):
    """Shows stages, their progress and the time left. A context manager.

    A thread of its own shows the time where a stage cannot report for a while.

    seconds: time of the whole reconstruction. with_flags: shows the arguments that a message names as flags.
    """

    def __init__(self, seconds: float, with_flags: Callable[[str], str]) -> None:
        self.seconds = seconds
        self._with_flags = with_flags
        self._console = error_console()
        columns = (SpinnerColumn(), TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("stage", total=1.0, name="", state="")
        self._started = time.perf_counter()
        self._stage, self._stage_seconds, self._stage_began = "", 0.0, self._started
        self._done, self._detail = 0.0, ""
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        if shows_bars(self._console):
            self._bar.start()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticker.join()
        self._bar.stop()

    def begin(self, stage: str, seconds: float) -> None:
        self._done, self._detail = 0.0, ""
        self._stage_seconds, self._stage_began = seconds, time.perf_counter()
        self._stage = stage

    def kept(self, stage: str) -> None:
        self._print(f"{stage:{NAME_WIDTH}} as kept in the run")

    def fraction(self, done: float, detail: str = "") -> None:
        self._done, self._detail = min(max(done, 0.0), 1.0), detail

    def end(self, stage: str, seconds: float) -> None:
        self._stage = ""
        self._print(f"{stage:{NAME_WIDTH}} {seconds:.1f} s")

    def message(self, text: str) -> None:
        self._print(f"note: {self._with_flags(text)}")

    def _print(self, text: str) -> None:
        if shows_bars(self._console):
            self._console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        terminal = shows_bars(self._console)
        while not self._ended.wait(REFRESH_SECONDS if terminal else LINE_SECONDS):
            stage = self._stage
            if not stage:
                continue
            state = self._state()
            if terminal:
                self._bar.update(self._task, completed=self._done, name=stage, state=state)
            else:
                print(f"{stage:{NAME_WIDTH}} {state}", file=sys.stderr, flush=True)

    def _state(self) -> str:
        """Fraction of the stage, what is worth showing, and the time left for all stages."""
        in_stage = time.perf_counter() - self._stage_began
        # A stage that cannot report is shown by the time that it may take.
        done = self._done or min(0.99, in_stage / self._stage_seconds if self._stage_seconds else 0.0)
        left = max(0.0, self.seconds - (time.perf_counter() - self._started))
        detail = f"{self._detail}  " if self._detail else ""
        return f"{done:4.0%}  {detail}{left:.0f} s left"
