"""Command-line options, storage and output that all benchmarks share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from apps.cli.benchmark_report import benchmark_report as report
from apps.cli.benchmark_report import print_report

__all__ = ["RESULTS", "add_arguments", "emit", "report"]

# Folder of the stored objects from which the pages in docs/ are made.
RESULTS = Path(__file__).resolve().parent / "results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, `--quick` and `--store`."""
    parser.add_argument("--json", action="store_true", help="print the report as the last line of standard output")
    parser.add_argument("--quick", action="store_true", help="about a minute, fewer repeats")
    parser.add_argument(
        "--store", action="store_true", help="also write benchmarks/results/NAME.json, from which the docs are made"
    )


def emit(result: dict, options: argparse.Namespace, partial: bool = False) -> None:
    """Print the report as a table or, with `--json`, as JSON; write it to RESULTS with `--store`.

    partial: keep the stored rows that are not among these, if they come from the same machine and size. This way a long
        benchmark can be run in parts.
    """
    if options.store:
        result = _stored(result, partial)
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        print_report(result)


def _stored(result: dict, partial: bool) -> dict:
    """Write the report to RESULTS, joined with the stored rows if `partial`, and return what was written."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{result['benchmark']}.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if partial and file.is_file() else None
    if kept and kept["machine"] == result["machine"] and kept.get("size") == result.get("size"):
        rows = {(row["id"], row.get("against")): row for row in (*kept["rows"], *result["rows"])}
        result = {**kept, **result, "rows": list(rows.values())}
    file.write_text(json.dumps(result, indent=1) + "\n")
    return result
