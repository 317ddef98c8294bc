"""Open the page or the picture of a run, a comparison or a reconstruction with the desktop's program for it.

Where there is no display, it prints where the files are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apps.cli.flags import OUTPUT, add_run, group
from apps.cli.messages import command_line
from apps.cli.terminal import show
from scenes.errors import BadInput

NAME = "open"
HELP = "open the page or the picture of a run"
EPILOG = """\
examples:
  fit-a-scene open runs/photo
  fit-a-scene open photo                    by its name in the folder runs, as every command takes a RUN
  fit-a-scene open runs/photo-compare       the page of a comparison
"""
# What is worth looking at, the best first: patterns within the folder of a run.
PATTERNS = (
    "comparison.html",
    "*.html",
    "asset/report.png",
    "render.*",
    "turntable.*",
    "path.*",
    "preview.png",
    "cameras.png",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    group(parser, OUTPUT).add_argument("--print", dest="only_print", action="store_true", help="Only print the files.")


def run(options: argparse.Namespace) -> dict:
    folder = options.run_folder
    files = pictures(folder)
    opened = not options.only_print and show(files[0].resolve().as_uri())
    if not options.json:
        for file in files:
            print(file)
        if not opened and not options.only_print:
            print("there is no display to open it on", file=sys.stderr)
    return {"run": str(folder), "files": [str(file) for file in files], "opened": opened}


def pictures(folder: Path) -> list[Path]:
    """The pages and pictures in the folder of a run, the most telling first. Raises BadInput where there are none."""
    if folder.is_file():
        raise BadInput(f"{folder}: is a single file without pictures; {command_line('render', folder)} makes one")
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such run folder")
    found = [file for pattern in PATTERNS for file in sorted(folder.glob(pattern))]
    if not found:
        raise BadInput(f"{folder}: has no picture yet; {command_line('render', folder)} makes one")
    return list(dict.fromkeys(found))
