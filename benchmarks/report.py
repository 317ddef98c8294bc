"""Command-line options, storage and output that all benchmarks share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from apps.cli.benchmark_report import benchmark_report as report
from apps.cli.benchmark_report import print_report

__all__ = ["RESULTS", "add_arguments", "emit", "report", "stored"]

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

    partial: keep the stored rows that are not among these. This way a long benchmark can be run in parts.

    Raises SystemExit, one line, for a part of another size than what is stored. The report is printed before.
    """
    written, refused = result, None
    if options.store:
        try:
            written = stored(result, partial)
        except SystemExit as error:
            refused = error
    if options.json:
        print(json.dumps(written), flush=True)
    else:
        print_report(written)
    if refused is not None:
        raise refused


def stored(result: dict, partial: bool) -> dict:
    """Write the report to RESULTS, joined with the stored rows if `partial`, and return what was written.

    A row of another machine or number of threads than the file's has a `machine` of its own, which a row of `result`
    may bring too, if it is an older one.
    """
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{result['benchmark']}.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if partial and file.is_file() else None
    if kept:
        if kept.get("size") != result.get("size"):
            raise SystemExit(
                f"{file.name} holds rows of size {kept.get('size')}, not {result.get('size')}: nothing is stored; "
                "measure all rows, not some"
            )
        rows = {(row["id"], row.get("against")): row for row in kept["rows"]}
        for row in result["rows"]:
            machine = row.get("machine", result["machine"])
            others = {name: value for name, value in row.items() if name != "machine"}
            own = {} if machine == kept["machine"] else {"machine": machine}
            rows[row["id"], row.get("against")] = others | own
        result = {**kept, **result, "machine": kept["machine"], "rows": list(rows.values())}
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result
