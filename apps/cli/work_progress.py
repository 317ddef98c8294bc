"""Progress of long work outside of fits: from the first second a bar, or lines in a log, with the time left."""

from __future__ import annotations

import argparse
import time

from apps.cli.ticking_bar import Shown, TickingBar

# Seconds before the first line of a log, and between lines.
FIRST_LINE_SECONDS = 1.0
LINE_SECONDS = 5.0
# Fraction of a stage from which on its pace tells the time left.
MIN_FRACTION = 0.03


class WorkProgress(TickingBar):
    """Shows what a command is doing, how far it is, and how long it will still take.

    work: what is done, such as "export".
    """

    def __init__(self, work: str, options: argparse.Namespace) -> None:
        super().__init__()
        self._options = options
        self._work, self._stage = work, "loading"
        self._expected: float | None = None
        self._done = 0.0
        self._began = time.perf_counter()

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

    def _line_seconds(self, first: bool) -> float:
        return FIRST_LINE_SECONDS if first else LINE_SECONDS

    def _shown(self) -> Shown:
        fraction, state = self._state()
        return Shown(fraction, self._work, state, f"{self._work}: {state}")

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
