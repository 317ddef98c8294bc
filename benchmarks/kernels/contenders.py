"""Contenders: processes that prepare a case and then run it a few times whenever it is their turn.

The contender whose turn it is finds the processor's caches filled by the others. The first call of a turn is therefore
not
timed: what is compared is a call among calls of its own kind, as in a training loop.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from statistics import median

import psutil

from benchmarks.kernels.case import Case
from benchmarks.kernels.timing import seconds_of

# Calls after a case is prepared, before any turn.
WARM_UP = 2
# Timed calls per turn, after one that is not timed.
TIMED = 3
# Seconds between two samples of the resident memory.
MEMORY_INTERVAL = 0.0005


class Contender:
    """A contender's process, as seen by the process that measures. Requests and answers are lines of JSON."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kernels", "--contender", name, "--device", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._requests, self._answers = self.process.stdin, self.process.stdout

    def ask(self, *words: str) -> dict:
        """Answer to a request: a verb of `serve` and its arguments."""
        self._requests.write(json.dumps(words) + "\n")
        self._requests.flush()
        return json.loads(self._answers.readline())

    def close(self) -> None:
        """End the process and wait for it."""
        self._requests.close()
        self.process.wait()


def take_turns(
    case: Case, contenders: dict[str, Contender], repeats: int, memory: bool = True
) -> dict[str, dict[str, float] | str]:
    """Median `milliseconds` of each contender and, if the case asks for it, peak `megabytes`; or why it is absent.

    memory: whether peaks can be measured, as they can on the CPU.
    """
    times: dict[str, list[float]] = {}
    results: dict[str, dict[str, float] | str] = {}
    for name, contender in contenders.items():
        answer = contender.ask("prepare", case.id)
        if "error" in answer:
            results[name] = answer["error"]
        else:
            times[name] = []
    for _ in range(repeats):
        for name, own in times.items():
            own += contenders[name].ask("run", case.id)["milliseconds"]
    for name, own in times.items():
        result = {"milliseconds": median(own)}
        if case.memory and memory:
            result["megabytes"] = contenders[name].ask("memory", case.id)["megabytes"]
        results[name] = result
    for contender in contenders.values():
        contender.ask("forget", case.id)
    return {name: results[name] for name in contenders}


def serve(name: str, cases: dict[str, Case], ceilings: Callable[[str], list[dict]], device: str = "cpu") -> None:
    """Answer requests as contender `name` on a device until standard input ends.

    Verbs: `prepare ID` makes a case ready and warms it up, `run ID` times a turn, `memory ID` measures the peak memory
    of a call, `forget ID` frees the case, and `ceilings ID` returns the rows of `benchmarks.kernels.ceilings`.
    """
    answers = os.fdopen(os.dup(1), "w")
    # Whatever a library prints must not look like an answer.
    os.dup2(2, 1)
    ready: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        id = arguments[0] if arguments else ""
        answer: dict = {}
        if verb == "prepare":
            try:
                ready[id] = cases[id].prepare(name, id, device)
                for _ in range(WARM_UP):
                    ready[id]()
            except Exception as error:  # noqa: BLE001  a peer may be absent in any way, and the reason is the answer
                lines = str(error).strip().splitlines()
                answer["error"] = f"{type(error).__name__}: {lines[0] if lines else ''}"
        elif verb == "run":
            answer["milliseconds"] = _timed(ready[id], device)
        elif verb == "memory":
            answer["megabytes"] = _peak_megabytes(ready[id])
        elif verb == "forget":
            ready.pop(id, None)
        else:
            answer["rows"] = ceilings(*arguments)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _timed(function: Callable[[], object], device: str) -> list[float]:
    """Milliseconds of the timed calls of one turn."""
    function()
    return [1e3 * seconds_of(function, device) for _ in range(TIMED)]


def _peak_megabytes(function: Callable[[], object]) -> float:
    """Peak resident memory during a call, above the memory resident before it."""
    # Return freed memory to the system, so that the call cannot reuse it unnoticed.
    ctypes.CDLL(None).malloc_trim(0)
    before, peak, done = _resident_megabytes(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(MEMORY_INTERVAL):
            peak = max(peak, _resident_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    done.set()
    watcher.join()
    return max(peak - before, 0.0)


def _resident_megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6
