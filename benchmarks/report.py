"""The one form of every benchmark: an object with machine, versions and rows; a table for people, JSON for the docs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as the last line of standard output")
    parser.add_argument("--quick", action="store_true", help="about a minute, fewer repeats")
    parser.add_argument(
        "--store", action="store_true", help="also write benchmarks/results/NAME.json, from which the docs are made"
    )


def report(benchmark: str, rows: list[dict]) -> dict:
    """`rows` have id, value, unit and, where there is a peer, against, against_value and ratio (above 1: we are better)."""
    import torch

    from fields.runs.machine import machine, versions

    here = machine()
    return {
        "benchmark": benchmark,
        "machine": {"cpu": here["cpu"], "threads": torch.get_num_threads(), "gpu": here["gpu"]},
        "versions": versions(),
        "rows": rows,
    }


def emit(result: dict, options: argparse.Namespace, partial: bool = False) -> None:
    """Prints the report, and stores it if `--store` was given. `partial`: rows that were stored on the same machine, of the same size, and are not
    among these stay, so that a long benchmark can be run in parts."""
    if options.store:
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{result['benchmark']}.json"
        kept = json.loads(file.read_text(encoding="utf-8")) if partial and file.is_file() else None
        if kept and kept["machine"] == result["machine"] and kept.get("size") == result.get("size"):
            rows = {(row["id"], row.get("against")): row for row in (*kept["rows"], *result["rows"])}
            result = {**kept, **result, "rows": list(rows.values())}
        file.write_text(json.dumps(result, indent=1) + "\n")
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        print_table(result)


def print_table(result: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    machine = result["machine"]
    table = Table(
        "id",
        "value",
        "unit",
        "against",
        "its value",
        "ratio",
        "note",
        title=f"{result['benchmark']} on {machine['cpu']}, {machine['threads']} threads, GPU: {machine['gpu'] or 'none'}",
    )
    for row in result["rows"]:
        cells = (
            row["id"],
            row["value"],
            row["unit"],
            row.get("against"),
            row.get("against_value"),
            row.get("ratio"),
            row.get("note"),
        )
        table.add_row(
            *("" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells)
        )
    Console().print(table)
