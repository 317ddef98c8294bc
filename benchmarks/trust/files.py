"""What becomes of files that are broken on purpose.

    python -m benchmarks.trust.files [--only TEXT] [--quick] [--json]

Every file of the corpus is either refused by one line or read; anything else is listed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.trust.broken_files import corpus
from benchmarks.trust.page import finish
from benchmarks.trust.reading import READ, REFUSED, outcomes

# Files of the quick form, some of which are those that once were not refused by one line.
QUICK_FILES = 60
ONCE_WRONG = (
    "image-npy/ones",
    "lying/bomb.fsq",
    "lying/deep.gltf",
    "lying/wide.obj",
    "lying/long-name",
    "posed/llff-huge",
    "posed/nerfstudio-path-list",
    "shape-xyz/sound",
)


def chosen(quick: bool, only: str = "") -> list[str]:
    """Names of the cases to read. `quick`: 60 of them, those of `ONCE_WRONG` and others from all over the corpus."""
    names = [case.name for case in corpus() if only in case.name]
    if not quick:
        return names
    again = [name for name in names if name in ONCE_WRONG]
    others = [name for name in names if name not in ONCE_WRONG]
    return again + others[:: max(1, len(others) // QUICK_FILES)][: QUICK_FILES - len(again)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only files with this in their name")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FILES} files")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--store", action="store_true", help="keep the report for docs/results/trust.md")
    options = parser.parse_args()
    started = time.perf_counter()
    found = []
    for outcome in outcomes(chosen(options.quick, options.only)):
        found.append(outcome)
        if not outcome.right:
            print(f"{outcome.name}: {outcome.how}: {outcome.detail} ({outcome.seconds:.1f} s)", file=sys.stderr)
    wrong = [outcome for outcome in found if not outcome.right]
    report = {
        "benchmark": "trust-files",
        "files": len(found),
        "read": sum(outcome.how == READ for outcome in found),
        "refused": sum(outcome.how == REFUSED for outcome in found),
        "wrong": [vars(outcome) for outcome in wrong],
        "slowest": max((outcome.seconds for outcome in found), default=0.0),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(
        f"{report['files']} files: {report['read']} read, {report['refused']} refused, {len(wrong)} wrong; "
        f"the slowest took {report['slowest']:.1f} s, all {report['seconds']:.0f} s"
    )
    finish(report, options)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
