"""The end of commands that write one file: what they print, and their JSON report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apps.cli.messages import with_flags
from apps.cli.standard_input import STANDARD
from fields.models.field import Field
from fields.runs.run import Run


def report_written(
    options: argparse.Namespace, run: Run, field: Field, *, out: Path, report: dict, seconds: float
) -> dict:
    """Print what was written to `out`, and return the JSON report.

    `report`: "text" and "notes" are printed, everything else goes into the JSON report. `seconds`: time it took.
    """
    for note in report.pop("notes", []):
        print(f"note: {with_flags(note, options)}", file=sys.stderr)
    text = report.pop("text")
    if not options.json:
        piped = str(options.out) == STANDARD
        print(f"{STANDARD if piped else out}   {text}, {seconds:.2f} s", file=sys.stderr if piped else sys.stdout)
    return {"run": str(run.path), "out": str(out), **report, "seconds": round(seconds, 3), "backend": field.backend}
