"""Time the native operations on this machine against their references in plain torch: less than a minute."""

from __future__ import annotations

import argparse

HELP = "time the operations on this machine"
EPILOG = """\
examples:
  fit-a-scene bench
  python -m benchmarks.kernels --json     the full measurement, from the source tree
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: `--json` is common to all commands."""


def run(options: argparse.Namespace) -> dict:
    """Measure all problems and return the report; print it as a table unless `--json` is given."""
    from apps.cli.benchmark_report import benchmark_report, print_report
    from fields.ops.bench import measure

    report = benchmark_report("bench", measure())
    if not options.json:
        print_report(report)
    return report
