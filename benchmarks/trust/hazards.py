"""Disturb works in the middle: a full disk, a read-only one, a folder that vanishes, a clock set back, little memory.

    python -m benchmarks.trust.hazards [--times 3] [--only TEXT] [--json] [--store]

Each ends with a result, or with one line and status 1 or 2; once the cause is gone, the work goes on and ends with the
bits of an undisturbed one. Disks are small ones in memory, which takes the right to mount.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.trust.kills import import_all
from benchmarks.trust.page import finish
from benchmarks.trust.works import Ended, Work, digest, output, prepare, run_forked

WORKS = ("fit-image", "distill", "export", "compare", "batch")
# A field that does not fit into the memory that is left.
LARGE = ("--set", "table_size=4194304", "levels=16", "--steps", "3")
DAY = 86_400.0


def full_disk(work: Work, place: Path, plain: Ended, chance: random.Random, wanted: dict) -> Iterator[str]:
    """A disk with room for a part of the result, which then becomes larger."""
    size = chance.randint(8, 96)
    with _disk(place, f"{size}k"):
        ended = run_forked(work.arguments(output(work, place)))
        yield from _told(ended, f"on a disk of {size} kB")
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        yield from _goes_on(work, place, wanted, f"after a disk of {size} kB was full")


def read_only(work: Work, place: Path, plain: Ended, chance: random.Random, wanted: dict) -> Iterator[str]:
    """A disk that cannot be written, from the beginning or from the middle on."""
    number = chance.randint(0, plain.changes)

    def disturb(change: int) -> None:
        if change == number:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=False)

    with _disk(place, "64m"):
        if number == 0:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        ended = run_forked(work.arguments(output(work, place)), disturb=disturb)
        yield from _told(ended, f"on a disk that is read-only from change {number} on")
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        yield from _goes_on(work, place, wanted, f"after its disk was read-only from change {number} on")


def vanished(work: Work, place: Path, plain: Ended, chance: random.Random, wanted: dict) -> Iterator[str]:
    """The folder of the result is deleted in the middle."""
    number = chance.randint(2, max(2, plain.changes))

    def disturb(change: int) -> None:
        if change == number:
            subprocess.run(["rm", "-rf", str(place)], check=False)

    ended = run_forked(work.arguments(output(work, place)), disturb=disturb)
    yield from _told(ended, f"whose folder vanishes at change {number}")
    place.mkdir(exist_ok=True)
    yield from _goes_on(work, place, wanted, f"after its folder vanished at change {number}")


def clock_back(work: Work, place: Path, plain: Ended, chance: random.Random, wanted: dict) -> Iterator[str]:
    """The clock is set back by a day in the middle: nothing changes."""
    number, real = chance.randint(1, max(1, plain.changes)), time.time

    def disturb(change: int) -> None:
        if change == number:
            time.time = lambda: real() - DAY

    ended = run_forked(work.arguments(output(work, place)), disturb=disturb)
    if ended.status or digest(output(work, place)) != wanted:
        yield f"{work.name} with a clock that is set back: {ended.text.strip()[-200:]}"


Hazard = Callable[[Work, Path, Ended, random.Random, dict], Iterator[str]]
HAZARDS: tuple[Hazard, ...] = (full_disk, read_only, vanished, clock_back)


def little_memory(folder: Path, image: str, chance: random.Random, times: int) -> Iterator[str]:
    """A fit with a limit of its memory, some of which it needs, and one that could never fit."""
    for index in range(times):
        more = chance.randint(1, 900) << 20

        def limited(more: int = more, index: int = index) -> int:
            from apps.cli.main import main

            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize() + more
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            return main(["fit", image, *LARGE, "--out", str(folder / f"large-{index}")])

        ended = run_forked([], call=limited)
        if ended.status and not (ended.one_line and ended.status in (1, 2)):
            yield f"with {more >> 20} MB more: status {ended.status}: {ended.text.strip()[-300:]}"


def _told(ended: Ended, how: str) -> Iterator[str]:
    if ended.status not in (0, 1, 2) or (ended.status and not ended.one_line):
        yield f"{how}: status {ended.status}: {ended.text.strip()[-300:]}"


def _goes_on(work: Work, place: Path, wanted: dict, how: str) -> Iterator[str]:
    ended = run_forked(work.arguments(output(work, place), again=True))
    if ended.status:
        yield f"does not go on {how}: {ended.text.strip()[-300:]}"
    elif digest(output(work, place)) != wanted:
        yield f"ends with other bits {how}"


@contextmanager
def _disk(place: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def run(times: int, seed: int, only: str = "") -> dict:
    """Disturb every work so many times in every way. Returns the report."""
    import torch

    torch.set_num_threads(1)
    import_all(False)
    chance, begun = random.Random(seed), time.perf_counter()
    faults: list[str] = []
    counts = {hazard.__name__: 0 for hazard in HAZARDS} | {"little_memory": 0}
    with tempfile.TemporaryDirectory(prefix="trust-hazards-") as temporary:
        folder = Path(temporary)
        bench = prepare(folder / "inputs", WORKS)
        for work in bench.works.values():
            whole = folder / f"whole-{work.name}"
            whole.mkdir()
            plain = run_forked(work.arguments(output(work, whole)))
            wanted = digest(output(work, whole))
            for hazard in HAZARDS:
                if only not in hazard.__name__ and only not in work.name:
                    continue
                for index in range(times):
                    place = folder / f"{work.name}-{hazard.__name__}-{index}"
                    place.mkdir()
                    found = list(hazard(work, place, plain, chance, wanted))
                    faults += [f"{work.name}, {hazard.__name__}: {fault}" for fault in found]
                    counts[hazard.__name__] += 1
                    shutil.rmtree(place, ignore_errors=True)
            print(work.name, faults[-4:], file=sys.stderr, flush=True)
        if only in "little_memory":
            image = bench.works["fit-image"].command[1]
            faults += [f"little_memory: {fault}" for fault in little_memory(folder, image, chance, 2 * times)]
            counts["little_memory"] += 2 * times
    return {
        "benchmark": "trust-hazards",
        "seed": seed,
        "rows": [{"id": name, "times": count} for name, count in counts.items() if count],
        "faults": faults,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--times", type=int, default=3, metavar="N", help="of each disturbance of each work (default 3)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only disturbances or works with this in their name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--store", action="store_true", help="keep the report for docs/results/trust.md")
    options = parser.parse_args()
    report = run(options.times, options.seed, options.only)
    for fault in report["faults"]:
        print(fault)
    count = sum(row["times"] for row in report["rows"])
    print(f"{count} disturbances, {len(report['faults'])} faults; {report['seconds']:.0f} s")
    finish(report, options)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
