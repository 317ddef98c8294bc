"""Ctrl-C and SIGTERM end a command after its current step, so that everything is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Protocol


class Stoppable(Protocol):
    """A trainer, or a comparison."""

    def stop(self) -> None:
        """End after the current step."""
        ...


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def stop_on_signals(work: Stoppable) -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM stop `work`, so that it saves and scores what there is.

    A second one ends the program at once; what was saved by then stays.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, _interrupt)
        work.stop()

    previous = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
