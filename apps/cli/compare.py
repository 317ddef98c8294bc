"""Fit one signal by several methods and compare them: a table, curves of quality against time, crops with error maps.

Each method gets the same number of parameters (--params), the same time (--seconds) or both; without --params it has its own size.
What is finished is kept: the same command again continues a comparison that was cut off, and more methods or seeds are added to it.
The folder holds comparison.json, the runs, curves.png, crops.png and comparison.html, one file that needs no other.
"""

from __future__ import annotations

import argparse
import signal as signals
import sys
from pathlib import Path

import scenes
from apps.cli import types
from fields.methods.registry import make_method
from scenes.errors import BadInput

HELP = "compare several methods on one signal"
EPILOG = """\
examples:
  fit-a-scene compare photo.jpg --methods hashgrid,siren,cam --seconds 20
  fit-a-scene compare photo.jpg --methods hashgrid,rbf --params 100k --seeds 3
  fit-a-scene compare bunny.ply --methods hashgrid,triplane --out runs/bunnies
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the file to fit, or skimage:NAME")
    parser.add_argument("--methods", type=types.names, required=True, metavar="A,B,...", help="the methods to compare")
    parser.add_argument(
        "--kind", default="auto", choices=("auto", *scenes.LOADERS), help="what SOURCE is (default: look at it)"
    )
    parser.add_argument(
        "--params", type=types.count, metavar="N", help="numbers that each field may hold, met to within 3 %%"
    )
    parser.add_argument(
        "--seconds",
        type=types.positive,
        metavar="S",
        help="time of each fit, loading and evaluation included (default 30)",
    )
    parser.add_argument("--steps", type=types.count, metavar="N", help="steps of each fit, instead of a time")
    parser.add_argument(
        "--seeds", type=types.count, default=1, metavar="N", help="fit each method with so many seeds (default 1)"
    )
    parser.add_argument(
        "--held-out",
        type=types.share,
        metavar="SHARE",
        help="never train on this share of the samples, and score on them",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the comparison's folder (default runs/NAME-compare)")


def run(options: argparse.Namespace) -> dict:
    if options.seconds and options.steps:
        raise BadInput("--steps and --seconds: give one of the two")
    for name in options.methods:
        make_method(name)  # a wrong name is told before torch is loaded

    from apps.cli.progress import FitProgress
    from apps.cli.sources import RUNS, run_name
    from fields.compare.comparison import Comparison
    from fields.compare.report import write_report

    plan = plan_of(options)
    comparison = Comparison.create(plan, options.out or RUNS / f"{run_name(options.source)}-compare")
    if kept := len(comparison.rows):
        print(f"{comparison.path}: {kept} fits are finished already", file=sys.stderr)

    progress: list[FitProgress] = []

    def begin(trainer, run):
        end()
        progress.append(FitProgress(trainer.objective.signal, trainer, run))
        progress[0].__enter__()
        return progress

    def end():
        if progress:
            progress.pop().bar.stop()

    previous = {
        number: signals.signal(number, lambda *_: comparison.stop()) for number in (signals.SIGINT, signals.SIGTERM)
    }
    try:
        finished = comparison.run(plan, begin)
    finally:
        end()
        for number, handler in previous.items():
            signals.signal(number, handler)
    page = write_report(comparison)
    if not options.json:
        _print(comparison.header)
        print(f"page  {page}")
    report = {"comparison": str(comparison.path), "page": str(page), **comparison.header}
    if not finished:
        print("stopped; the same command continues", file=sys.stderr)
        report["interrupted"] = True
    return report


def plan_of(options: argparse.Namespace):
    """What is asked for, as a `fields.compare.comparison.Plan`."""
    from fields.compare.comparison import Plan

    return Plan(
        options.source,
        options.methods,
        options.kind,
        options.params,
        options.seconds,
        options.steps,
        options.seeds,
        options.held_out,
        options.device,
    )


def _print(header: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    from fields.compare.table import best, columns, summary, written

    lines = summary(header)
    # (a column a method: they are fewer than the numbers, and have to share the width of a terminal)
    table = Table("", *(line["method"] for line in lines), box=None, header_style="bold", padding=(0, 2, 0, 0))
    for key, title, form in columns(header):
        cells = []
        for line in lines:
            value = line["values"].get(key)
            text = written(value, form)
            cells.append(f"[bold green]{text}[/]" if value and value[0] == best(lines, key) else text)
        table.add_row(f"[dim]{title}[/]", *cells)
    console = Console(highlight=False)
    console.print(table)
    for line in lines:
        for error in line["errors"]:
            console.print(f"{line['method']}: {error}")
