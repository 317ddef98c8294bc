"""Native operations against plain torch and other libraries, and against what this machine can do at all.

    python -m benchmarks.kernels [--json] [--quick] [--store] [--only ID]

Every contender runs in a process of its own. Within a case the contenders take turns, repetition by repetition, warmed
up, and the median counts. Points are uniform, unsorted, seed 0. `torch` is the faster of eager mode and torch.compile.
A peer that is not installed is left out with a note; Dr.Jit is `pip install drjit` and needs the system's libLLVM. Each
case is described in the file that declares it.
"""

from __future__ import annotations

import argparse

from benchmarks.kernels.ceilings import ceilings
from benchmarks.kernels.contenders import serve
from benchmarks.kernels.measure import CASES, measure
from benchmarks.report import add_arguments, emit


def main() -> None:
    """Measure the chosen cases, or serve as a contender's process."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--only", default="", metavar="ID", help="only the cases whose id contains this")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(options.contender, {case.id: case for case in CASES}, ceilings)
    else:
        emit(measure(options.quick, options.only), options, partial=bool(options.only))


if __name__ == "__main__":
    main()
