"""What the papers claim, measured by us: the acceptance experiments of a method.

    python -m benchmarks.papers NAME [--quick | --small | --paper] [--only PART,...] [--json] [--store]

NAME is cam, fresh, heads, inr, neurbf, nstr, rbf or scenes. `--quick` takes a minute or two (images of 64 x 64),
`--small` (the default, what docs/results shows) at most 40 minutes on two cores, `--paper` has the full settings, for a
GPU. Every row is a mean over seeds; `spread` is the standard deviation. `--only` measures some parts of a system and
leaves the rows that are stored of the others.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from benchmarks.report import emit, report

NAMES = ("cam", "fresh", "heads", "inr", "neurbf", "nstr", "rbf", "scenes")
SIZES = ("quick", "small", "paper")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    size = parser.add_mutually_exclusive_group()
    for name in SIZES:
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name, default="small")
    parser.add_argument(
        "--only", metavar="PART,...", help="parts of cam, inr, neurbf or rbf; an unknown one lists them"
    )
    parser.add_argument("--json", action="store_true", help="print the report as the last line of standard output")
    parser.add_argument(
        "--store",
        action="store_true",
        help="also write benchmarks/results/papers-NAME.json, from which the docs are made",
    )
    options = parser.parse_args()
    module = import_module(f"benchmarks.papers.{options.name}")
    parts = getattr(module, "PARTS", None) or {"all": module.measure}
    chosen = options.only.split(",") if options.only else list(parts)
    if unknown := [part for part in chosen if part not in parts]:
        parser.error(f"{options.name} has no part {', '.join(unknown)}; it has {', '.join(parts)}")
    rows = [row for part in chosen for row in parts[part](options.size)]
    emit(report(f"papers-{options.name}", rows) | {"size": options.size}, options, partial=bool(options.only))


if __name__ == "__main__":
    main()
