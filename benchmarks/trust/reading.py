"""Read broken files in a child process with 2 GB of memory, and tell what came of each.

The child reports each file when it begins and ends, so that a hang or a crash is known for what it is, and a new child
goes on with the next file.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Seconds of a processor that a file may take, seconds of the clock after which the child is taken to hang, on a busy
# machine too, and bytes that it may have besides what it has before the first file.
MAX_SECONDS = 20.0
HANG_SECONDS = 600.0
POLL_SECONDS = 1.0
MAX_BYTES = 2 << 30
# What a file may come to.
READ, REFUSED = "read", "refused"
# Samples that are drawn from what was read.
SAMPLES = 64


@dataclass(frozen=True)
class Outcome:
    """What came of a file. `how`: `READ`, `REFUSED`, or what went wrong. `detail`: the message."""

    name: str
    how: str
    detail: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the file was read, or refused by one line."""
        return self.how in (READ, REFUSED)


def outcomes(names: Iterable[str]) -> Iterator[Outcome]:
    """What comes of the cases of `benchmarks.trust.broken_files.corpus` with these names, in their order."""
    left = list(names)
    while left:
        begun = False
        for outcome in _of_one_child(left):
            left.remove(outcome.name)
            yield outcome
            begun = True
        if not begun:
            raise RuntimeError("the child that reads files ended before the first of them")


def _of_one_child(names: list[str]) -> Iterator[Outcome]:
    """Outcomes until the child ends, of its own accord or because a file made it hang or crash."""
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    child = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | one_thread,
    )
    assert child.stdin and child.stdout
    try:
        child.stdin.write(json.dumps(names).encode())
        child.stdin.close()
        current, started, worked, polls, text = "", time.perf_counter(), 0.0, 0, b""
        while True:
            # Read without a buffer: of a line that waits in one, `select` knows nothing.
            ready, _, _ = select.select([child.stdout], [], [], POLL_SECONDS)
            if not ready:
                # On a busy machine a child may wait for long; only what it does itself counts. Polls are counted and
                # not seconds, as both may have been stopped meanwhile.
                busy, polls = _processor_seconds(child.pid) - worked, polls + 1
                if current and (busy > 2 * MAX_SECONDS or polls * POLL_SECONDS > HANG_SECONDS):
                    yield Outcome(current, "hung", f"{busy:.0f} s of a processor", time.perf_counter() - started)
                    return
                if not current and polls * POLL_SECONDS > HANG_SECONDS:
                    raise TimeoutError("the child that reads files says nothing")
                continue
            block = os.read(child.stdout.fileno(), 1 << 16)
            if not block:
                if current:
                    status = child.wait()
                    yield Outcome(current, "crashed", f"exit status {status}", time.perf_counter() - started)
                return
            *lines, text = (text + block).split(b"\n")
            for line in lines:
                report = json.loads(line)
                if "begin" in report:
                    current, started, polls = report["begin"], time.perf_counter(), 0
                    worked = _processor_seconds(child.pid)
                else:
                    current = ""
                    yield Outcome(**report)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _processor_seconds(pid: int) -> float:
    """Seconds of a processor that a process has used; 0 where it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def main() -> None:
    """Read the cases whose names come from standard input."""
    names = json.loads(sys.stdin.read())
    # What libraries print is not for the parent.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from benchmarks.trust.broken_files import corpus

    cases = {case.name: case for case in corpus()}
    _import_readers(names)
    _limit_memory()
    for name in names:
        reports.write(json.dumps({"begin": name}) + "\n")
        folder = Path(tempfile.mkdtemp(prefix="trust-")).resolve()
        try:
            outcome = _outcome(name, cases[name].make, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        reports.write(json.dumps(vars(outcome)) + "\n")


def _import_readers(names: list[str]) -> None:
    """Import what reading needs, so that the memory of libraries does not count."""
    import av  # noqa: F401
    import PIL.Image
    import scipy.ndimage  # noqa: F401
    import soundfile  # noqa: F401
    import tifffile  # noqa: F401
    import trimesh  # noqa: F401

    import scenes  # noqa: F401

    PIL.Image.init()
    if any(map(_is_run, names)):
        import torch

        import fields.runs.run  # noqa: F401

        torch.set_num_threads(1)


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + MAX_BYTES, before + MAX_BYTES))


def _is_run(name: str) -> bool:
    return name.startswith("run-") or name.endswith(".fsq")


def _outcome(name: str, make, folder: Path) -> Outcome:
    # Deep enough for paths that climb to stay below the folder, where they are found.
    place, here, temporary = folder / "a" / "b" / "source", folder / "here", folder / "temporary"
    for path in (place, here, temporary):
        path.mkdir(parents=True)
    source = make(place)
    tempfile.tempdir = str(temporary)
    os.chdir(here)
    before = _listing(folder)
    started = time.process_time()
    how, detail = _read(name, source)
    seconds = time.process_time() - started
    gc.collect()
    os.chdir("/")
    tempfile.tempdir = None
    if seconds > MAX_SECONDS:
        how, detail = "slow", f"{how}: {detail}"
    if changed := sorted(before ^ _listing(folder)):
        how, detail = "left files", ", ".join(str(path) for path, _ in changed)
    return Outcome(name, how, detail, round(seconds, 3))


def _read(name: str, source: Path) -> tuple[str, str]:
    from scenes.errors import BadInput

    try:
        detail = _read_run(source) if _is_run(name) else _read_signal(source)
        return READ, detail
    except BadInput as error:
        message = str(error)
        lines = len(message.splitlines())
        return (REFUSED, message) if lines == 1 else (f"refused by {lines} lines", message)
    except RecursionError:
        return "raised RecursionError", ""
    except Exception as error:  # noqa: BLE001  (whatever is raised is what this is about)
        return f"raised {type(error).__name__}", _where(error)


def _read_signal(source: Path) -> str:
    import numpy as np

    import scenes

    signal = scenes.load(source)
    if not all(np.isfinite((axis.lower, axis.upper)).all() for axis in signal.domain.axes):
        raise ArithmeticError("bounds are not finite")
    if signal.kind == "shape":
        # What is inside is told by a grid of millions of points, which takes seconds for each file.
        return signal.kind
    for array in signal.batch(0, SAMPLES, 0):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArithmeticError("samples are not finite")
    return f"{signal.kind}, {signal.describe()}"


def _read_run(source: Path) -> str:
    from fields.runs.run import Run

    run = Run.open(source)
    run.metrics()
    run.history()
    field = run.load_field()
    return f"{run.header['kind']}, {field.num_parameters} parameters"


def _listing(folder: Path) -> set[tuple[Path, int]]:
    found = set()
    for path in folder.rglob("*"):
        with suppress(OSError):
            found.add((path.relative_to(folder), -1 if path.is_dir() else path.lstat().st_size))
    return found


def _where(error: Exception) -> str:
    """The message of an exception, and the line of our code in which it was raised."""
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = frames[-1] if frames else None
    where = f" at {'/'.join(Path(place.filename).parts[-3:])}:{place.lineno}" if place else ""
    return " ".join(f"{error}".split())[:200] + where


if __name__ == "__main__":
    main()
