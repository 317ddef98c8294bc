"""Build, prove and measure everything that wants a GPU, in a few minutes and without a network: `make gpu`.

    python -m benchmarks.gpu [--wheels FOLDER] [--data FOLDER] [--out FOLDER] [--minutes M] [--only PART ...] [--again]
                             [--store]

The parts run in the order of their importance. A part that fails does not stop the next; what it finds is written as it
comes. A second call goes on with what is not done. On a machine without a GPU each part does what can be done there and
says what needs a GPU; nothing is stored then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks.gpu.machine import ROOT, look
from benchmarks.gpu.parts import PARTS, Context, Outcome
from benchmarks.gpu.record import FAILED, LATER, Record

MINUTES = 8.0
# Folders of the shared data, beside the checkout or inside it.
DATA = (ROOT.parent / "shared" / "data", ROOT / "shared" / "data")
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    """Run the parts; the status is 1 where one failed."""
    begun = time.monotonic()
    options = _options()
    data = options.data or next((folder for folder in DATA if folder.is_dir()), None)
    here = look(options.out / "site")
    record = Record(options.out, here)
    context = Context(here, options.out, data, options.wheels)
    print(f"GPU: {here.gpu.name if here.gpu else 'none'}" + (f" ({here.why_no_gpu})" if here.why_no_gpu else ""))
    print(f"python: {here.python}, torch {here.torch}; results: {options.out}", flush=True)
    for part in PARTS:
        if options.only and part.name not in options.only:
            continue
        if record.is_done(part.name) and not options.again:
            print(f"{part.name:10} done before", flush=True)
            continue
        left = 60 * options.minutes - (time.monotonic() - begun)
        since = time.monotonic()
        if left < part.least:
            outcome = Outcome(LATER, f"{left:.0f} s are left of {options.minutes:g} minutes")
        else:
            context.name, context.seconds = part.name, min(part.limit, left)
            (options.out / f"{part.name}.log").unlink(missing_ok=True)
            try:
                outcome = part.work(context)
            except Exception as error:  # noqa: BLE001  the next part is to run whatever this one does
                outcome = Outcome(FAILED, f"{type(error).__name__}: {error}")
        seconds = time.monotonic() - since
        record.add_rows(outcome.rows)
        record.note(part.name, outcome.state, outcome.detail, seconds)
        print(f"{part.name:10} {outcome.state} ({seconds:.0f} s): {outcome.detail}", flush=True)
    if options.store and record.rows_file is not None and record.rows_file.is_file():
        shutil.copy2(record.rows_file, RESULTS)
        print(f"stored: {RESULTS / record.rows_file.name}; `python -m benchmarks.pages` writes it into the docs")
    failed = [name for name, state in record.states.items() if state["state"] == FAILED]
    print(f"failed: {', '.join(failed)}; each has a log in {options.out}" if failed else "no part failed")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheels", type=Path, help="folder of wheels, and of sources of tiny-cuda-nn and nerfacc")
    parser.add_argument("--data", type=Path, help="folder of the shared data (default: beside the checkout)")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "build" / "gpu",
        help="folder of logs and results (default build/gpu)",
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time for all parts (default 8)")
    parser.add_argument(
        "--only", nargs="*", default=[], choices=[part.name for part in PARTS], metavar="PART", help="these parts alone"
    )
    parser.add_argument("--again", action="store_true", help="also parts that are done")
    parser.add_argument("--store", action="store_true", help="also write the rows to benchmarks/results")
    options = parser.parse_args()
    options.out = options.out.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
