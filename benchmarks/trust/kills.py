"""Kill works of every kind with SIGKILL, and look whether anything is lost.

    python -m benchmarks.trust.kills [--kills 200] [--only TEXT] [--quick] [--seed N] [--json] [--store]

Half of the kills come at a random time, half just before a random change of the file system, which is where something
can be left half-done. After each, everything in the folder must open, the same command or `--resume` must go on, lose
at most one checkpoint interval, and end with the bits of an uninterrupted run; nothing half-written stays.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.trust import studio_works
from benchmarks.trust.page import finish
from benchmarks.trust.works import (
    CHECKPOINT_SECONDS,
    KILLED,
    Ended,
    Work,
    digest,
    kill_at,
    leftovers,
    lost_seconds,
    output,
    prepare,
    run_forked,
    unreadable,
)

KILLS, QUICK_KILLS = 200, 10
# The works of the quick form.
QUICK = ("fit-image", "export", "compare")
# Times that a work may be killed before it is left to end.
MAX_KILLS = 3
# Seconds that a checkpoint itself and a step may take, besides the interval, on a machine that does other things too.
SLACK_SECONDS = 2.0


class Killer:
    """Kills works. `faults`: what went wrong, with the seed that repeats it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.faults: list[str] = []
        self.rows: list[dict] = []
        self.most_lost = 0.0

    def kill(self, work: Work, kills: int) -> None:
        """Kill a work so many times, in turns of up to `MAX_KILLS` each of which ends with a whole result."""
        whole = self.folder / f"whole-{work.name}"
        whole.mkdir()
        plain = run_forked(work.arguments(output(work, whole)))
        if plain.status:
            self.faults.append(f"{work.name}: fails undisturbed: {plain.text[-300:]}")
            return
        wanted = digest(output(work, whole))
        killed = late = turns = 0
        while killed < kills and turns < 3 * kills:
            turns += 1
            place = self.folder / f"{work.name}-{turns}"
            place.mkdir()
            for _ in range(min(MAX_KILLS, kills - killed)):
                ended, how = self._kill_once(work, place, plain)
                if ended.status != KILLED:
                    late += 1
                    break
                killed += 1
                self._look(work, place, how)
            self._end(work, place, wanted)
            shutil.rmtree(place, ignore_errors=True)
        self.rows.append({"id": work.name, "kills": killed, "ended_before": late, "seconds": round(plain.seconds, 2)})

    def _kill_once(self, work: Work, place: Path, plain: Ended) -> tuple[Ended, str]:
        out = output(work, place)
        arguments = work.arguments(out, again=True)
        if self.random.random() < 0.5:
            number = self.random.randint(1, max(1, plain.changes))
            return run_forked(arguments, disturb=kill_at(number)), f"before change {number}"
        seconds = self.random.uniform(0, plain.seconds)
        return run_forked(arguments, kill_after=seconds), f"after {seconds:.2f} s"

    def _look(self, work: Work, place: Path, how: str) -> None:
        self.faults += [f"{work.name}, killed {how}: {wrong}" for wrong in unreadable(place)]
        out = output(work, place)
        if work.resumes and (out / "run.json").is_file():
            lost = lost_seconds(out)
            self.most_lost = max(self.most_lost, lost)
            if lost > CHECKPOINT_SECONDS + SLACK_SECONDS:
                self.faults.append(f"{work.name}, killed {how}: lost {lost:.2f} s")

    def _end(self, work: Work, place: Path, wanted: dict[str, str]) -> None:
        out = output(work, place)
        ended = run_forked(work.arguments(out, again=True))
        if ended.status:
            self.faults.append(f"{work.name}: does not go on: {ended.text.strip()[-300:]}")
            return
        found = digest(out)
        if other := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
            self.faults.append(f"{work.name}: ends with other bits in {', '.join(other)}")
        if left := leftovers(place):
            self.faults.append(f"{work.name}: leaves {', '.join(left)}")
        for file in place.rglob("history.jsonl"):
            steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
            if steps != sorted(set(steps)):
                self.faults.append(f"{work.name}: {file.relative_to(place)} has steps twice or out of order")


def run(kills: int, seed: int, only: str = "", quick: bool = False) -> dict:
    """Kill works so many times in all. Returns the report."""
    import torch

    torch.set_num_threads(1)
    import_all(quick)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="trust-kills-") as folder:
        names = QUICK if quick else ()
        bench = prepare(Path(folder) / "inputs", names)
        works = [work for work in bench.works.values() if only in work.name]
        killer = Killer(Path(folder), seed)
        with_studio = not quick and only in "studio"
        share = max(1, kills // (len(works) + with_studio))
        for index, work in enumerate(works):
            more = kills - share * (len(works) + with_studio) if index == 0 else 0
            killer.kill(work, share + max(0, more))
            print(killer.rows[-1] if killer.rows else work.name, killer.faults[-3:], file=sys.stderr, flush=True)
        if with_studio:
            row, faults = studio_works.kill(bench, Path(folder), killer.random, share)
            killer.rows.append(row)
            killer.faults += faults
    return {
        "benchmark": "trust-kills",
        "seed": seed,
        "kills": sum(row["kills"] for row in killer.rows),
        "rows": killer.rows,
        "most_seconds_lost": round(killer.most_lost, 3),
        "checkpoint_seconds": CHECKPOINT_SECONDS,
        "faults": killer.faults,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def import_all(quick: bool) -> None:
    """Import what works need, so that forks begin at once."""
    import fields.compare.report
    import fields.export.formats
    import fields.fit.fit  # noqa: F401

    if not quick:
        import fields.batch.batch
        import fields.distill.distill  # noqa: F401


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, metavar="N", help=f"default {KILLS}; {QUICK_KILLS} with --quick")
    parser.add_argument("--only", default="", metavar="TEXT", help="only works with this in their name")
    parser.add_argument("--quick", action="store_true", help="few kills of three works")
    parser.add_argument("--seed", type=int, default=0, help="of the times and places")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--store", action="store_true", help="keep the report for docs/results/trust.md")
    options = parser.parse_args()
    kills = options.kills or (QUICK_KILLS if options.quick else KILLS)
    report = run(kills, options.seed, options.only, options.quick)
    for fault in report["faults"]:
        print(fault, file=sys.stderr)
    print(
        f"{report['kills']} kills, {len(report['faults'])} faults; at most {report['most_seconds_lost']:.2f} s lost "
        f"(a checkpoint every {CHECKPOINT_SECONDS:g} s); {report['seconds']:.0f} s"
    )
    finish(report, options)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
