"""List the runs in a folder, remove some, or rename one. Comparisons and reconstructions are listed too.

fit-a-scene runs                       list them, the newest first
fit-a-scene runs remove RUN ...        delete them, after a question; --yes asks none
fit-a-scene runs rename RUN NAME       give one another name in the same folder
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.cli.flags import OUTPUT, RUNS, group
from scenes.errors import BadInput

HELP = "list, remove and rename runs"
EPILOG = """\
examples:
  fit-a-scene runs --sort size
  fit-a-scene runs remove photo-2 photo-3
  fit-a-scene runs rename photo portrait
  fit-a-scene runs --json
"""
ACTIONS = ("list", "remove", "rename")
# Files that make a folder a run, a comparison or a reconstruction, in the order in which they are looked for.
RUN, COMPARISON, RECONSTRUCTION = "run.json", "comparison.json", "reconstruct.json"
# A run that is being fitted writes a row twice a second; one that has not for so many seconds was killed.
SILENT_SECONDS = 30.0
# Columns of a table that is not printed to a terminal.
PIPE_WIDTH = 240
# The table shows the first of these metrics that a run has.
HEADLINE_METRICS = ("psnr", "snr", "iou", "chamfer")
SORTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "date": lambda run: -run["changed"],
    "name": lambda run: run["name"],
    "kind": lambda run: (run["kind"], run["name"]),
    "size": lambda run: -run["bytes"],
}


def arguments(parser: argparse.ArgumentParser) -> None:
    source = group(parser, "source")
    source.add_argument("action", metavar="ACTION", nargs="?", choices=ACTIONS, default="list", help=", ".join(ACTIONS))
    source.add_argument("names", metavar="RUN", nargs="*", help="Names of runs in the folder, or paths.")
    source.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="The folder of runs (default runs).")
    output = group(parser, OUTPUT)
    output.add_argument("--sort", choices=tuple(SORTS), default="date", help="Order of the list (default date).")
    output.add_argument("--yes", action="store_true", help="Remove without a question.")


def run(options: argparse.Namespace) -> dict:
    if options.action == "remove":
        return _remove(options)
    if options.action == "rename":
        return _rename(options)
    if options.names:
        raise BadInput(f"a list takes no RUN: {options.names[0]}; `fit-a-scene info RUN` shows one")
    found = list_runs(options.runs)
    found.sort(key=SORTS[options.sort])
    if not options.json:
        _print(found, options.runs)
    return {"folder": str(options.runs), "runs": found}


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """What the runs in a folder are, as JSON data. Folders that hold none are left out; damaged runs are listed so."""
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    return [describe(path) for path in paths if _header_file(path)]


def describe(path: Path) -> dict[str, Any]:
    """Name, kind, method, status, size in bytes and time of the last change of one run, as JSON data."""
    file = _header_file(path)
    assert file is not None
    files = [entry for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink()]
    entry = {
        "name": path.name,
        "path": str(path),
        "kind": "?",
        "method": "",
        "status": "damaged",
        "parameters": None,
        "metrics": {},
        "bytes": sum(_size(file) for file in files),
        "changed": file.stat().st_mtime,
    }
    try:
        return entry | _facts(path, file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return entry


def _facts(path: Path, file: Path) -> dict[str, Any]:
    header = json.loads(file.read_text(encoding="utf-8"))
    if file.name == COMPARISON:
        fits = len(header["methods"]) * header["seeds"]
        status = "finished" if len(header["rows"]) >= fits else f"{len(header['rows'])} of {fits} fits"
        return {"kind": header["kind"], "method": "compare: " + ", ".join(header["methods"]), "status": status}
    if file.name == RECONSTRUCTION:
        return {"kind": "radiance", "method": "reconstruct", "status": "begun"}
    metrics = path / "metrics.json"
    return {
        "kind": header["kind"],
        "method": header["method"],
        "status": header["status"],
        "parameters": header["parameters"],
        "metrics": json.loads(metrics.read_text(encoding="utf-8"))["metrics"] if metrics.is_file() else {},
    }


def _header_file(path: Path) -> Path | None:
    """The file that makes a folder a run; None where it is none."""
    return next((path / name for name in (RUN, COMPARISON, RECONSTRUCTION) if (path / name).is_file()), None)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def find(folder: Path, name: str) -> Path:
    """The folder of a run that is named by its path or its name in `folder`. Raises BadInput where it is no run."""
    candidates = [folder / name] if Path(name).name == name else []
    for path in (*candidates, Path(name)):
        if path.is_symlink():
            raise BadInput(f"{path}: is a link; name the folder that it leads to")
        if path.is_dir():
            if not _header_file(path):
                raise BadInput(f"{path}: is not a run and stays as it is")
            if _is_busy(path):
                raise BadInput(f"{path}: is being fitted; stop that first")
            return path
    from fields.options import near

    known = [run["name"] for run in list_runs(folder)]
    raise BadInput(f"there is no run {name}; {near(name, known) if known else f'none is in {folder}'}")


def _is_busy(path: Path) -> bool:
    history = path / "history.jsonl"
    if not history.is_file() or time.time() - history.stat().st_mtime > SILENT_SECONDS:
        return False
    return describe(path)["status"] == "running"


def _remove(options: argparse.Namespace) -> dict:
    if not options.names:
        raise BadInput("name each RUN to remove; fit-a-scene runs lists them")
    paths = list(dict.fromkeys(find(options.runs, name) for name in options.names))
    if not options.yes:
        _ask(paths)
    for path in paths:
        # Renamed first, so that an interrupted removal leaves no half of a run.
        doomed = path.with_name(f".removing-{secrets.token_hex(6)}")
        try:
            os.replace(path, doomed)
        except OSError as error:
            raise BadInput(f"{path}: cannot be removed ({error.strerror or error})") from None
        shutil.rmtree(doomed)
        print(f"removed {path}", file=sys.stderr)
    return {"removed": [str(path) for path in paths]}


def _ask(paths: list[Path]) -> None:
    """Return if the person agrees. Raises BadInput otherwise, and where nobody can be asked."""
    if not sys.stdin or not sys.stdin.isatty():
        raise BadInput("say --yes to remove runs where nobody can be asked")
    print(f"remove {', '.join(map(str, paths))}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInput("nothing was removed")


def _rename(options: argparse.Namespace) -> dict:
    if len(options.names) != 2:
        raise BadInput("rename takes a RUN and its new NAME")
    old, name = find(options.runs, options.names[0]), options.names[1]
    if Path(name).name != name or name.startswith((".", "-")):
        raise BadInput(f"{name!r} is not a name; give one without / that begins with neither . nor -")
    new = old.with_name(name)
    if new.exists():
        raise BadInput(f"{new}: exists already; give another name")
    try:
        old.rename(new)
    except OSError as error:
        raise BadInput(f"{old}: cannot be renamed ({error.strerror or error})") from None
    print(f"{old} is {new} now", file=sys.stderr)
    return {"run": str(new), "was": str(old)}


def _print(found: list[dict[str, Any]], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        print(f"no runs in {folder}; fit-a-scene fit SOURCE makes one", file=sys.stderr)
        return
    table = Table("run", "kind", "method", "status", "score", "size", "changed", box=None, padding=(0, 2, 0, 0))
    for entry in found:
        changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["changed"]))
        cells = (entry["name"], entry["kind"], entry["method"], entry["status"], _score(entry["metrics"]))
        table.add_row(*cells, _megabytes(entry["bytes"]), changed)
    # Files and pipes have no width: no line is broken there.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(highlight=False, markup=False, width=width).print(table)


def _score(metrics: dict[str, float]) -> str:
    name = next((name for name in HEADLINE_METRICS if name in metrics), "")
    return f"{name} {metrics[name]:.4g}" if name else ""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
