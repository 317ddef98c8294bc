"""Fit one signal by several methods and compare them: a table, curves of quality against time, crops with error maps.

All methods get the same time (--seconds) and, with --params, the same number of parameters; without it each has its own
size. Finished fits are kept: the same command continues a comparison that was cut off, and adds more methods or seeds
to it. The folder holds comparison.json, the runs, curves.png, crops.png and comparison.html, a page that needs no other
file.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from apps.cli.flags import add_flags, read_request
from apps.cli.interrupt import stop_on_signals
from fields.compare.request import CompareRequest
from fields.methods.registry import make_method

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer
    from fields.runs.run import Run

HELP = "compare several methods on one signal"
EPILOG = """\
examples:
  fit-a-scene compare photo.jpg --methods hashgrid,siren,cam --seconds 20
  fit-a-scene compare photo.jpg --methods hashgrid,rbf --params 100k --seeds 3
  fit-a-scene compare bunny.ply --methods hashgrid,triplane --out runs/bunnies
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, CompareRequest)


def run(options: argparse.Namespace) -> dict:
    from apps.cli.standard_input import source_of

    options.source = source_of(options.source)
    request = read_request(CompareRequest, options)
    for name in request.methods:
        # Report a wrong name before torch is loaded.
        make_method(name)

    from apps.cli.work_progress import WorkProgress

    with WorkProgress("compare", options) as shown:
        from apps.cli.progress import FitProgress
        from apps.cli.sources import RUNS, run_name
        from fields.compare.comparison import Comparison
        from fields.compare.report import write_report

        shown.begin("trying the methods")
        out = request.out or RUNS / f"{run_name(str(request.source))}-compare"
        comparison = Comparison.create(request, out)
    if finished := len(comparison.rows):
        print(f"{comparison.path}: {finished} fits are finished already", file=sys.stderr)
    left = len(comparison.missing)
    seconds = request.budget["seconds"]
    takes = f"{request.steps:,} steps each" if seconds is None else f"{seconds:g} s each, {left * seconds:g} s in all"
    print(f"{left} fits: {takes}", file=sys.stderr)

    # The bar of the present fit; at most one.
    progress: list[FitProgress] = []

    def begin(trainer: Trainer, run: Run) -> list[FitProgress]:
        end()
        print(f"[{len(comparison.wanted) - len(comparison.missing) + 1} of {len(comparison.wanted)}]", file=sys.stderr)
        progress.append(FitProgress(trainer.objective.signal, trainer, run))
        progress[0].start()
        return progress

    def end() -> None:
        if progress:
            progress.pop().stop()

    try:
        with stop_on_signals(comparison):
            finished = comparison.run(request, begin)
    finally:
        end()
    report = {"comparison": str(comparison.path), **comparison.header}
    if finished or comparison.rows:
        page = write_report(comparison)
        report["page"] = str(page)
        if not options.json:
            _print(comparison.header)
            print(f"page  {page}")
    if not finished:
        print("stopped; the same command continues", file=sys.stderr)
        report["interrupted"] = True
    return report


def _print(header: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    from fields.compare.table import best, columns, format_value, summarize

    lines = summarize(header)
    # A column for each method: there are fewer methods than results, and they share the width of a terminal.
    table = Table("", *(line["method"] for line in lines), box=None, header_style="bold", padding=(0, 2, 0, 0))
    for key, title, form in columns(header):
        cells = []
        for line in lines:
            value = line["values"].get(key)
            text = format_value(value, form)
            cells.append(f"[bold green]{text}[/]" if value and value[0] == best(lines, key) else text)
        table.add_row(f"[dim]{title}[/]", *cells)
    console = Console(highlight=False)
    console.print(table)
    for line in lines:
        for remark in (*line["errors"], *line["notes"]):
            console.print(f"{line['method']}: {remark}")
