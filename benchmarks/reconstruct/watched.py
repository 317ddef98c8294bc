"""Run a command and watch it: memory of all of its processes, and how long it says nothing."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

# Seconds between looks at the memory.
LOOK_SECONDS = 0.2
# What a terminal's progress lines have beside their text.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Watched:
    """What a command did.

    Attributes:
        status: its exit status.
        output: standard output.
        progress: what it wrote to its terminal on standard error.
        seconds: from start to end.
        peak: largest memory of all its processes at one moment in bytes, pages that they share counted once for each
            process in parts (PSS) where the system tells it.
        silence: longest time in seconds in which it wrote nothing to standard error, from its first line on to the end.
        silent_after: what it had written last before that.
        start: seconds until it wrote anything.
    """

    status: int
    output: str
    progress: str
    seconds: float
    peak: int
    silence: float
    silent_after: str
    start: float


def watch(command: Sequence[str], environment: dict[str, str] | None = None, cwd: str | None = None) -> Watched:
    """Run the command with a terminal as its standard error, so that it shows its progress as to a person."""
    master, slave = pty.openpty()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=slave,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
    )
    os.close(slave)
    output: list[bytes] = []
    assert process.stdout is not None
    stream = process.stdout
    reader = threading.Thread(target=lambda: output.append(stream.read()), daemon=True)
    reader.start()
    peak, silence, silent_after, written = 0, 0.0, "", bytearray()
    first: float | None = None
    last = looked = begun
    while True:
        ready, _, _ = select.select([master], [], [], LOOK_SECONDS)
        now = time.perf_counter()
        # The end of a terminal whose other side is closed is an error.
        try:
            data = os.read(master, 65536) if ready else b""
        except OSError:
            break
        if ready and not data:
            break
        if data:
            first = now if first is None else first
            silence, silent_after = _longer(silence, silent_after, now - last if written else 0.0, written)
            written += data
            last = now
        if now - looked >= LOOK_SECONDS:
            peak, looked = max(peak, memory_of(process.pid)), now
    status = process.wait()
    reader.join()
    end = time.perf_counter()
    silence, silent_after = _longer(silence, silent_after, end - last, written)
    os.close(master)
    return Watched(
        status=status,
        output=b"".join(output).decode(errors="replace"),
        progress=written.decode(errors="replace"),
        seconds=end - begun,
        peak=peak,
        silence=silence,
        silent_after=silent_after,
        start=(first or end) - begun,
    )


def _longer(silence: float, before: str, pause: float, written: bytearray) -> tuple[float, str]:
    if pause <= silence:
        return silence, before
    text = ESCAPES.sub("", written[-4000:].decode(errors="replace"))
    # Bars alone do not say which stage it is.
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if re.search(r"[a-z]", line)]
    return pause, lines[-1] if lines else ""


def memory_of(pid: int) -> int:
    """Bytes of memory of a process and all that it started; 0 once it has ended."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in processes:
        try:
            try:
                total += process.memory_full_info().pss
            except (AttributeError, psutil.AccessDenied):
                total += process.memory_info().rss
        except psutil.Error:
            continue
    return total
