"""The native operations against plain torch and Dr.Jit, side by side, and against what this machine can do at all.

    python -m benchmarks.kernels [--json] [--quick] [--store] [--only ID]

Every contender is a process of its own that waits for its turn; within a case they take turns repetition by repetition, warmed up,
and the median counts. Points are uniform, unsorted, seed 0. `torch` is the faster of eager and torch.compile; Dr.Jit
(`pip install drjit` and the system's libLLVM) is left out with a note where it is absent. What a case is stands in the file that
declares it.
"""

from __future__ import annotations

import argparse

from benchmarks.kernels.ceilings import ceilings
from benchmarks.kernels.measure import CASES, measure
from benchmarks.kernels.workers import work
from benchmarks.report import add_arguments, emit


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--only", default="", metavar="ID", help="only the cases whose id contains this")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, {case.id: case for case in CASES}, ceilings)
    else:
        emit(measure(options.quick, options.only), options, partial=bool(options.only))


if __name__ == "__main__":
    main()
