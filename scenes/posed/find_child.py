"""Run `scenes.posed.find_colmap` as a process that ends when this one is interrupted."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import scenes

# Seconds between reports while COLMAP is silent.
HEARTBEAT = 0.5


class ChildFailed(RuntimeError):
    """COLMAP's process ended without a result. The message has its last words."""


def run_colmap(job: dict[str, Any], folder: Path, progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Do a job (`scenes.posed.find_colmap.Job`) in a process of its own.

    Args:
        folder: gets the job, the log and the result.
        progress: is called with the stage and the fraction of it that is done, at least once a second.

    Returns the result (`scenes.posed.find_colmap.Result`). If the process failed and had a model before, that model's.
    Raises ChildFailed where there is none.
    """
    written, result = folder / "job.json", folder / "result.json"
    written.write_text(json.dumps(job))
    result.unlink(missing_ok=True)
    places = [str(Path(scenes.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with open(folder / "colmap.log", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scenes.posed.find_colmap", str(written)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # A session of its own: Ctrl-C goes to this process, which then ends the other one.
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))},
        )
        try:
            assert process.stdout is not None
            _follow(process.stdout, progress)
            status = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        log.seek(0)
        words = [line.strip() for line in log if line.strip()]
    found = json.loads(result.read_text()) if result.is_file() else {}
    if status and not found.get("registered"):
        raise ChildFailed(f"COLMAP ended with status {status}: {_last_words(words)}")
    return found


def _last_words(lines: list[str]) -> str:
    """The line of a log that says most: a failed check, or else the last one."""
    telling = [line for line in lines if "Check failed" in line or "Error" in line]
    return (telling or lines or ["it said nothing"])[-1][:300]


def _follow(lines: IO[str], progress: Callable[[str, float], None]) -> None:
    """Give reports to `progress`, and the last one again while there is none, until their stream ends."""
    reports: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in lines:
            reports.put(line)
        reports.put(None)

    threading.Thread(target=read, daemon=True).start()
    stage, fraction = "features", 0.0
    while True:
        try:
            line = reports.get(timeout=HEARTBEAT)
        except queue.Empty:
            progress(stage, fraction)
            continue
        if line is None:
            return
        report = json.loads(line)
        stage, fraction = report["stage"], report["fraction"]
        progress(stage, fraction)
