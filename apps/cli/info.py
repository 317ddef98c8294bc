"""Tell what a run holds: what was fitted, how, how far it came and what it scored."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "tell what a run holds"
EPILOG = """\
examples:
  fit-a-scene info runs/photo
  fit-a-scene info runs/photo --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")


def run(options: argparse.Namespace) -> dict:
    from rich.console import Console
    from rich.table import Table

    from fields.fit.run import Run

    kept = Run.open(options.run_folder)
    stored = kept.metrics()
    report = {"run": str(kept.path), **kept.header, "metrics": stored["metrics"] if stored else None}
    if options.json:
        return report
    header = kept.header
    table = Table(show_header=False, box=None)
    table.add_row("signal", f"{header['source']['path']} ({header['kind']}, "
                  + " x ".join(str(axis["samples"]) for axis in header["domain"]["axes"])
                  + f", {'+'.join(header['channels']['names'])}, {header['channels']['space']})")
    table.add_row("method", f"{header['method']}, {header['parameters']:,} parameters")
    if teacher := header.get("teacher"):
        table.add_row("teacher", f"{teacher['path']}: {teacher['method']}, {teacher['parameters']:,} parameters"
                      + (f"; shared {', '.join(header['shared'])}" if header["shared"] else ""))
    table.add_row("options", ", ".join(f"{name}={value}" for name, value in header["options"].items()))
    table.add_row("status", f"{header['status']}, seed {header['seed']}, {header['steps'] or '?'} steps"
                  + (f" in a budget of {header['seconds']:g} s" if header["seconds"] else ""))
    table.add_row("computed", f"{header['backend']}{' (fused step)' if header['fused'] else ''} on {header['device']}, "
                  f"{header['threads']} threads, {header['machine']['cpu']}")
    for name, value in (stored["metrics"] if stored else {}).items():
        table.add_row(name, f"{value:.6g}")
    Console().print(table)
    return report
