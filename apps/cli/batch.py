"""Fit every file of a folder: many shapes together in one step, images, sounds and other kinds one after the other.

Folders inside of the folder are classes. The result is a folder with a row of results for each file and, for shapes, a
dataset of fields that `fit-a-scene learn` reads. A file that cannot be read is recorded and passed over. The same
command continues a batch that was cut off.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import add_flags, read_request
from apps.cli.interrupt import stop_on_signals
from fields.batch.request import BatchRequest
from fields.methods.registry import make_method

if TYPE_CHECKING:
    from fields.batch.batch import Batch

HELP = "fit every file of a folder, shapes many at a time"
EPILOG = """\
examples:
  fit-a-scene batch shapes --out runs/shapes                        300 steps of a tri-plane for each shape
  fit-a-scene batch shapes --out runs/shapes --seconds 600          as many steps as the time allows
  fit-a-scene batch procedural:parts --items 400 --out runs/parts   shapes with labelled parts, made by the project
  fit-a-scene batch photos --method hashgrid --steps 500 --out runs/photos
"""
# Failures that are printed.
SHOWN_FAILURES = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, BatchRequest)


def run(options: argparse.Namespace) -> dict:
    request = read_request(BatchRequest, options)
    # Report a wrong name or option before torch is loaded.
    make_method(request.method, request.settings)

    from apps.cli.batch_progress import BatchProgress
    from apps.cli.sources import RUNS, run_name
    from fields.batch.batch import Batch

    if request.out is None:
        request = request.model_copy(update={"out": RUNS / f"{run_name(str(Path(request.source)))}-batch"})
    batch = Batch.create(request)
    if batch.rows:
        print(f"{batch.path}: {len(batch.rows)} of {len(batch.sources)} items are done already", file=sys.stderr)
    with stop_on_signals(batch), BatchProgress() as progress:
        finished = batch.run(progress)
    if not options.json:
        _print(batch)
    report = {"batch": str(batch.path), "method": request.method, **batch.summary()}
    if not finished:
        print("stopped; the same command continues", file=sys.stderr)
        report["interrupted"] = True
    return report


def _print(batch: Batch) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from apps.cli.messages import command_line

    console = Console(highlight=False)
    summary = batch.summary()
    console.print(f"{summary['fitted']} of {summary['items']} fitted   {escape(str(batch.path / 'results.jsonl'))}")
    table = Table("score", "median", "min", "max", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, values in summary["scores"].items():
        table.add_row(name, *(f"{values[key]:.4g}" for key in ("median", "min", "max")))
    if summary["scores"]:
        console.print(table)
    for failed in summary["not_fitted"][:SHOWN_FAILURES]:
        console.print(f"[red]not fitted[/] {escape(failed['error'])}")
    if len(summary["not_fitted"]) > SHOWN_FAILURES:
        console.print(f"... and {len(summary['not_fitted']) - SHOWN_FAILURES} more")
    if batch.dataset is not None and batch.dataset.labels:
        console.print(f"  next     {escape(command_line('learn', 'classify', batch.path))}", soft_wrap=True)
