"""Native operations against plain torch and other libraries, and against what this machine can do at all.

    python -m benchmarks.kernels [--json] [--quick] [--store] [--only ID] [--device cuda]

Every contender runs in a process of its own. Within a case the contenders take turns, repetition by repetition, warmed
up, and the median counts. Points are uniform, unsorted, seed 0. `torch` is the faster of eager mode and torch.compile.
A peer that is not installed is left out with a note; Dr.Jit is `pip install drjit` and needs the system's libLLVM. Each
case is described in the file that declares it.

With `--device cuda` the same cases run on a GPU, beside tiny-cuda-nn and nerfacc where they are installed; limits of
the machine and comparisons of quality are the CPU's alone, and nothing is stored under the CPU's name.
"""

from __future__ import annotations

import argparse
import json

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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (default cpu)")
    parser.add_argument("--lines", action="store_true", help="also print each row as a line ROW {...} when it is known")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(options.contender, {case.id: case for case in CASES}, ceilings, options.device)
        return
    if options.device == "cuda" and (reason := why_no_gpu()):
        parser.error(f"--device cuda: {reason}")
    told = _print_lines if options.lines else None
    emit(measure(options.quick, options.only, options.device, told), options, partial=bool(options.only))


def _print_lines(rows: list[dict]) -> None:
    for row in rows:
        print(f"ROW {json.dumps(row)}", flush=True)


def why_no_gpu() -> str | None:
    """Why nothing can be measured on a GPU, in one line; None where it can."""
    import torch

    from fields.ops import backends

    if not torch.cuda.is_available():
        return "needs a GPU that torch can use"
    return backends.why_not_native("cuda")


if __name__ == "__main__":
    main()
