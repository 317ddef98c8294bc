"""A contender is a process of its own that makes a case ready, then runs it a few times whenever it is its turn.

Whoever's turn it is finds the caches full of what others left. The first call of a turn is therefore not timed: what is compared is a call among calls of
its own kind, as in a training loop.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from statistics import median

from benchmarks.kernels.case import Case

WARM_UP = 2
# Calls that are timed a turn, after one that is not.
TIMED = 3


class Worker:
    """The measuring side: JSON lines out, JSON lines in."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kernels", "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: str) -> dict:
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def take_turns(case: Case, workers: dict[str, Worker], repeats: int) -> dict[str, dict | str]:
    """Of each contender the median `milliseconds` and, where the case wants it, the peak `megabytes`; or why it has none."""
    found: dict[str, list[float] | str] = {}
    for name, worker in workers.items():
        ready = worker.ask("prepare", case.id)
        found[name] = ready["error"] if "error" in ready else []
    for _ in range(repeats):
        for name, worker in workers.items():
            if isinstance(found[name], list):
                found[name] += worker.ask("run", case.id)["milliseconds"]
    results: dict[str, dict | str] = {}
    for name, times in found.items():
        results[name] = times if isinstance(times, str) else {"milliseconds": median(times)}
        if case.memory and not isinstance(times, str):
            results[name]["megabytes"] = workers[name].ask("memory", case.id)["megabytes"]
    for worker in workers.values():
        worker.ask("forget", case.id)
    return results


def work(name: str, cases: dict[str, Case], ceilings: Callable[[str], list[dict]]) -> None:
    """The contender's side: prepares cases (warmed up), runs them when told, forgets them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    ready: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        verb, *case = json.loads(line)
        answer: dict = {}
        if verb == "prepare":
            try:
                ready[case[0]] = cases[case[0]].prepare(name, case[0])
                for _ in range(WARM_UP):
                    ready[case[0]]()
            except Exception as error:  # noqa: BLE001  (a peer may be absent in any way; the reason is the answer)
                answer["error"] = (
                    f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
                )
        elif verb == "run":
            answer["milliseconds"] = _timed(ready[case[0]])
        elif verb == "memory":
            answer["megabytes"] = _peak_above(ready[case[0]])
        elif verb == "forget":
            ready.pop(case[0], None)
        else:
            answer["rows"] = ceilings(*case)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _timed(function: Callable[[], object]) -> list[float]:
    function()
    times = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - begun))
    return times


def _peak_above(function: Callable[[], object]) -> float:
    """Megabytes of resident memory that a call takes at its peak, above what was resident before."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed is not to be used again unseen
    before, peak, done = _resident(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.0005):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    done.set()
    watcher.join()
    return max(peak - before, 0.0)


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
