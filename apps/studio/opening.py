"""Open files on one thread, and let go of one that nobody waits for any more, however long its reader takes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock
from typing import TypeVar

T = TypeVar("T")
# Readers that nobody waits for, which cannot be stopped, and that may go on at a time.
MAX_LEFT = 2
# Seconds between two looks whether a file is still wanted.
LOOK_SECONDS = 0.2


class Opening:
    """The thread that opens files, one after another. What is given up goes on beside it until its reader returns."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread = _thread()
        self._threads: dict[Future, ThreadPoolExecutor] = {}
        self._left: list[Future] = []

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call a function on the thread."""
        with self._lock:
            future = self._thread.submit(function)
            self._threads[future] = self._thread
        future.add_done_callback(lambda done: self._threads.pop(done, None))
        return future

    def result(self, function: Callable[[], T], is_wanted: Callable[[], bool]) -> T | None:
        """What a function returns, called on the thread; None as soon as it is not wanted any more."""
        future = self.submit(function)
        while True:
            try:
                return future.result(LOOK_SECONDS)
            except NotYet:
                # The function itself may have raised this.
                if future.done():
                    raise
            if not is_wanted():
                self._give_up(future)
                return None

    def _give_up(self, future: Future) -> None:
        """Go on without a function: what waits behind it gets a new thread, unless too many go on already."""
        if future.cancel():
            return
        with self._lock:
            self._left = [known for known in self._left if not known.done()]
            if len(self._left) < MAX_LEFT and self._threads.get(future) is self._thread:
                self._left.append(future)
                self._thread.shutdown(wait=False)
                self._thread = _thread()

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "studio-opening")
