"""What it costs a fit in the studio that somebody looks at it.

    python -m benchmarks.studio [--json] [--quick] [--store] [--only ID]

A row a kind: steps a second while a page looks, against steps a second of the same fit while none does, in turns (one fit, one process). The
page is played by what its script asks for, as often: the fits twice a second, then this fit, then its three pictures where they are new; what a
browser itself would take is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

CASES = {"image:hashgrid": ("skimage:astronaut", "hashgrid"), "image:siren": ("skimage:astronaut", "siren"), "shape:hashgrid": ("Knot, a shape", "hashgrid"),
         "radiance:hashgrid": ("procedural:duck", "hashgrid")}
TURN_SECONDS, TURNS = 8.0, 2
ASK_SECONDS = 0.5


def row(name: str, turns: int) -> dict:
    from fastapi.testclient import TestClient

    from apps.studio import examples
    from apps.studio.jobs import FitOrder
    from apps.studio.server import Studio, make_app

    source, method = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.at(Path(folder))
        # (what the page asks for has the guard before it as well)
        client = TestClient(make_app(studio), base_url="http://localhost")
        job = studio.queue.fit(FitOrder(source if ":" in source else examples.source(source, studio.folders), method=method, steps=10**9), "fit")
        try:
            spent, steps = {True: 0.0, False: 0.0}, {True: 0, False: 0}
            _wait(lambda: job.step > 0 or job.state == "failed")
            _turn(client, job, True)  # (all that a first look loads)
            for turn in range(turns):
                for looked in (True, False) if turn % 2 else (False, True):
                    seconds, count = _turn(client, job, looked)
                    spent[looked] += seconds
                    steps[looked] += count
        finally:
            job.stop()
            _wait(lambda: job.state not in ("running", "loading", "stopping"))
            studio.close()
    with_page, without = (steps[looked] / spent[looked] for looked in (True, False))
    return {"id": f"looked-at:{name}", "value": round(with_page, 2), "unit": "steps/s", "against": "nobody looks", "against_value": round(without, 2),
            "ratio": round(with_page / without, 3)}


def _turn(client, job, looked: bool) -> tuple[float, int]:
    """Seconds and steps of a while in which a page looks, or none does."""
    job.watched = 0.0
    version = -1
    if looked:
        version = _look(client, job, version)
    trainer = job._trainer
    begun, first = time.perf_counter(), trainer.index
    while (now := time.perf_counter()) - begun < TURN_SECONDS:
        time.sleep(max(0.0, min(ASK_SECONDS, begun + TURN_SECONDS - now)))
        if looked:
            version = _look(client, job, version)
    return time.perf_counter() - begun, trainer.index - first


def _look(client, job, version: int) -> int:
    """As the page's script does twice a second."""
    client.get("/studio/jobs").raise_for_status()
    told = client.get(f"/studio/jobs/{job.id}").raise_for_status().json()
    if told["version"] != version:
        for name in told["pictures"]:
            client.get(f"/studio/jobs/{job.id}/{name}.webp?v={told['version']}").raise_for_status()
    return told["version"]


def _wait(condition) -> None:
    while not condition():
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID", help="rows whose kind and method begin like this")
    options = parser.parse_args()
    chosen = [name for name in CASES if name.startswith(options.only or "")]
    emit(report("studio", [row(name, 1 if options.quick else TURNS) for name in chosen]), options)


if __name__ == "__main__":
    main()
