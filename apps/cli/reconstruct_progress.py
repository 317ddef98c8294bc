"""Progress of a reconstruction on standard error: a bar for the stage with the time left, and lines in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.cli.ticking_bar import Shown, TickingBar
from fields.export.scene_assets.reports import Reports

# Seconds between lines in a log file; no stage is silent for longer.
LINE_SECONDS = 1.5
# Width of the names of stages.
NAME_WIDTH = 9


class ReconstructProgress(TickingBar, Reports):
    """Shows stages, their progress and the time left.

    seconds: time of the whole reconstruction. with_flags: shows the arguments that a message names as flags.
    """

    def __init__(self, seconds: float, with_flags: Callable[[str], str]) -> None:
        super().__init__()
        self.seconds = seconds
        self._with_flags = with_flags
        self._started = time.perf_counter()
        self._stage, self._stage_seconds, self._stage_began = "", 0.0, self._started
        self._done, self._detail = 0.0, ""

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

    def _line_seconds(self, first: bool) -> float:
        return LINE_SECONDS

    def _shown(self) -> Shown | None:
        if not (stage := self._stage):
            return None
        state = self._state()
        return Shown(self._done, stage, state, f"{stage:{NAME_WIDTH}} {state}")

    def _state(self) -> str:
        """Fraction of the stage, what is worth showing, and the time left for all stages."""
        in_stage = time.perf_counter() - self._stage_began
        # A stage that cannot report is shown by the time that it may take.
        done = self._done or min(0.99, in_stage / self._stage_seconds if self._stage_seconds else 0.0)
        left = max(0.0, self.seconds - (time.perf_counter() - self._started))
        detail = f"{self._detail}  " if self._detail else ""
        return f"{done:4.0%}  {detail}{left:.0f} s left"
