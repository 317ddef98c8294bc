"""Ctrl-C and SIGTERM end a command after its current step, so that everything is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """A trainer, or a comparison."""

    def stop(self) -> None:
        """End after the current step."""
        ...


@contextmanager
def stop_on_signals(work: Stoppable) -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM stop `work`, instead of ending the program."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: work.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
