"""How a command that writes one file ends."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fields.models.field import Field
from fields.runs.run import Run


def tell_written(options: argparse.Namespace, run: Run, field: Field, out: Path, report: dict, seconds: float) -> dict:
    """Says what was written, and gives the JSON report. `report`: "text" and "notes" are for people, the rest is for the report."""
    for note in report.pop("notes", []):
        print(f"note: {note}", file=sys.stderr)
    text = report.pop("text")
    if not options.json:
        print(f"{out}   {text}, {seconds:.2f} s")
    return {"run": str(run.path), "out": str(out), **report, "seconds": round(seconds, 3), "backend": field.backend}
