"""Default folders of runs, and the run that is meant by a source."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path

from apps.cli.runs import RUNS
from fields.runs.run import Run
from scenes.errors import BadInput


def run_name(source: str) -> str:
    """Name of the runs of a source: the file's name without its ending."""
    return Path(source.rpartition(":")[2]).stem or "run"


def default_out(source: str) -> Path:
    """A folder that does not exist yet: runs/NAME, or runs/NAME-2, runs/NAME-3, ..."""
    return free_name(RUNS, source)


def free_name(folder: Path, source: str) -> Path:
    """A folder that does not exist yet in `folder`: NAME, or NAME-2, NAME-3, ..."""
    name = run_name(source)
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(path for path in (folder / name for name in names) if not path.exists())


def find_run(source: str) -> Run:
    """The newest unfinished run of a source under `runs`. Raises BadInput where there is none."""
    name = run_name(source)
    files = sorted(RUNS.glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        run = Run.open(file)
        if run.header["status"] != "finished" and run_name(run.header["source"]["path"]) == name:
            return run
    raise BadInput(f"--resume: no unfinished run of {source} under {RUNS}; name its folder with --out")
