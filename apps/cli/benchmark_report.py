"""Reports of benchmarks: one object with machine, versions and rows, and a table of it for people."""

from __future__ import annotations


def benchmark_report(benchmark: str, rows: list[dict]) -> dict:
    """The object that every benchmark prints with `--json`.

    rows: each has `id`, `value` and `unit`, and where there is a peer `against`, `against_value` and `ratio` (above 1:
        we are better); `note` where something is to be said.
    """
    import torch

    from fields.runs.machine import machine, versions

    here = machine()
    return {
        "benchmark": benchmark,
        "machine": {"cpu": here["cpu"], "threads": torch.get_num_threads(), "gpu": here["gpu"]},
        "versions": versions(),
        "rows": rows,
    }


def print_report(report: dict) -> None:
    """Print the rows as a table."""
    from rich.console import Console
    from rich.table import Table

    machine = report["machine"]
    where = f"{machine['cpu']}, {machine['threads']} threads, GPU: {machine['gpu'] or 'none'}"
    table = Table(
        "id", "value", "unit", "against", "its value", "ratio", "note", title=f"{report['benchmark']} on {where}"
    )
    for row in report["rows"]:
        cells = (row.get(key) for key in ("id", "value", "unit", "against", "against_value", "ratio", "note"))
        table.add_row(*map(_cell, cells))
    Console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
