"""Measure the native operations on this machine against plain torch (and Dr.Jit, if it is installed): about a minute."""

from __future__ import annotations

import argparse

HELP = "measure the kernels on this machine"
EPILOG = """\
examples:
  fit-a-scene bench
  python -m benchmarks.kernels --json     the full measurement
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> dict:
    from benchmarks.kernels.measure import measure
    from benchmarks.report import print_table

    report = measure(quick=True)
    if not options.json:
        print_table(report)
    return report
