"""What the papers claim, measured by us: the acceptance experiments of a method.

    python -m benchmarks.papers NAME [--quick | --small | --paper] [--json] [--store]

NAME is cam, fresh, heads, inr, neurbf, nstr or rbf. `--quick` takes a minute or two (pictures of 64 x 64), `--small` (the default, what docs/results shows) at most 40 minutes on
two cores, `--paper` has the full settings, for a GPU. Every row is a mean over seeds; `spread` is the standard deviation.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from benchmarks.report import emit, report

NAMES = ("cam", "fresh", "heads", "inr", "neurbf", "nstr", "rbf")
SIZES = ("quick", "small", "paper")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.papers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    size = parser.add_mutually_exclusive_group()
    for name in SIZES:
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name, default="small")
    parser.add_argument("--json", action="store_true", help="print the report as the last line of standard output")
    parser.add_argument("--store", action="store_true", help="also write benchmarks/results/papers-NAME.json, from which the docs are made")
    options = parser.parse_args()
    rows = import_module(f"benchmarks.papers.{options.name}").measure(options.size)
    emit(report(f"papers-{options.name}", rows) | {"size": options.size}, options)


if __name__ == "__main__":
    main()
