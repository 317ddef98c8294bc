"""Where a run goes, and which one is meant."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path

from fields.runs.run import Run
from scenes.errors import BadInput

RUNS = Path("runs")


def run_name(source: str) -> str:
    return Path(source.rpartition(":")[2]).stem or "run"


def default_out(source: str) -> Path:
    """runs/NAME, or runs/NAME-2, ... where that exists: an earlier run is never in the way."""
    name = run_name(source)
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(path for path in (RUNS / name for name in names) if not path.exists())


def find_run(source: str) -> Run:
    """The newest unfinished run of a source under `runs`, for `--resume` without `--out`."""
    name = run_name(source)
    files = sorted(RUNS.glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        run = Run.open(file)
        if run.header["status"] != "finished" and run_name(run.header["source"]["path"]) == name:
            return run
    raise BadInput(f"--resume: no unfinished run of {source} under {RUNS}; name its folder with --out")
