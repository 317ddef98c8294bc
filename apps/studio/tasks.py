"""Work that a page asks for and waits for, such as spectra: with progress, the time left, and a cancel that ends it."""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from apps.studio.memory import give_back
from apps.studio.messages import message_of, unexpected
from scenes.errors import BadInput

# Called by the work with the fraction that is done and what it does now; ends it where nobody wants it any more.
Report = Callable[[float, str], None]
State = Literal["waiting", "working", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("waiting", "working")
# Tasks that may wait or work at a time, and that are known.
MAX_ACTIVE, MAX_KNOWN = 10, 40
# Seconds after which a task that no page asks for is cancelled.
FORGOTTEN_SECONDS = 20.0
# A time left is told where this much is done, and not before.
MIN_FRACTION = 0.05


class Cancelled(Exception):
    """Raised inside of a task that is not wanted any more."""


@dataclass
class Task:
    """`result`: what the page shows at the end, as HTML. `asked`: when a page asked for it last (`time.monotonic`)."""

    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: State = "waiting"
    fraction: float = 0.0
    text: str = ""
    result: str = ""
    begun: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)

    def to_dict(self) -> dict[str, Any]:
        """State and progress as JSON data, with the seconds that are left where they can be told."""
        seconds, left = time.monotonic() - self.begun, None
        if self.state == "working" and self.fraction > MIN_FRACTION:
            left = round(seconds * (1 / self.fraction - 1), 1)
        known = {name: getattr(self, name) for name in ("id", "state", "fraction", "text", "result")}
        return {**known, "seconds": round(seconds, 1), "remaining": left}

    def report(self, fraction: float, text: str = "") -> None:
        """Note how much is done. Raises Cancelled where the work is not wanted any more."""
        if self.state == "cancelled" or time.monotonic() - self.asked > FORGOTTEN_SECONDS:
            raise Cancelled
        self.fraction, self.text = min(max(fraction, 0.0), 1.0), text or self.text


class Tasks:
    """The tasks of all pages, one after another on a thread of their own: they delay neither views nor exports."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "studio-tasks")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Task] = OrderedDict()

    def start(self, work: Callable[[Report], str]) -> Task:
        """Begin to do some work, which returns HTML. Raises BadInput where too much waits."""
        task = Task(text="It waits for other work")
        with self._lock:
            if sum(known.state in ACTIVE for known in self._known.values()) >= MAX_ACTIVE:
                raise BadInput(f"{MAX_ACTIVE} pages wait for such work already; try again in a moment")
            self._known[task.id] = task
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        self._thread.submit(self._do, task, work)
        return task

    def find(self, task_id: str) -> Task:
        """A task, which then counts as wanted. Raises BadInput where there is none with this id."""
        with self._lock:
            task = self._known.get(task_id)
        if task is None:
            raise BadInput("this is not being worked on any more; ask for it again")
        task.asked = time.monotonic()
        return task

    def cancel(self, task_id: str) -> Task:
        """End a task, at its next report. Has no effect where it has ended."""
        task = self.find(task_id)
        with self._lock:
            if task.state in ACTIVE:
                task.state = "cancelled"
        return task

    def close(self) -> None:
        """Cancel what is under way, and wait for that."""
        with self._lock:
            for task in self._known.values():
                if task.state in ACTIVE:
                    task.state = "cancelled"
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _do(self, task: Task, work: Callable[[Report], str]) -> None:
        try:
            task.report(0.0)
            self._end(task, "working")
            self._end(task, "done", result=str(work(task.report)))
        except Cancelled:
            self._end(task, "cancelled")
        except BadInput as error:
            self._end(task, "failed", text=message_of(error))
        except MemoryError:
            self._end(task, "failed", text="there is not enough memory for this")
        except Exception as error:  # noqa: BLE001  (whatever a library raises: the thread outlives it)
            traceback.print_exc()
            self._end(task, "failed", text=unexpected(error))
        give_back()

    def _end(self, task: Task, state: State, *, text: str | None = None, result: str = "") -> None:
        with self._lock:
            # What was cancelled meanwhile stays so.
            if task.state not in ACTIVE:
                return
            task.state, task.result = state, result
            if text is not None:
                task.text = text
