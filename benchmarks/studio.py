"""How much a fit in the studio is slowed down by a page that watches it, and how soon the page appears.

    python -m benchmarks.studio [--json] [--quick] [--store] [--only ID]

One row per kind of signal: steps per second while a page watches, against those of the same fit while none does, in
turns, in one served studio. A process of its own plays the page. It sends the requests of the page's scripts as often
as these do: half a second after the last answer for all jobs and the watched one, then for its images that are new.
What a browser itself would take is not measured.

And one row for the first paint of the page: the median of visits by a Chromium without a cache to a studio that has
answered one before, against the 1.5 seconds that it may take. Rows of inputs, of memory and of several visitors are
those of `benchmarks.studio_response`.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import studio_response
from benchmarks.report import add_arguments, emit, report

if TYPE_CHECKING:
    import uvicorn
    from playwright.sync_api import Browser

    from apps.studio.job import Job
    from apps.studio.server import Studio

# Source and method of each row; a source without a colon is an example of the studio.
CASES = {
    "image:hashgrid": ("skimage:astronaut", "hashgrid"),
    "image:siren": ("skimage:astronaut", "siren"),
    "shape:hashgrid": ("Knot", "hashgrid"),
    "radiance:hashgrid": ("procedural:duck", "hashgrid"),
}
# Seconds of a turn, and turns of each sort.
TURN_SECONDS = 5.0
TURNS = 4
# Row of the first paint, its visits, and the seconds that it may take.
PAINT = "first-paint"
VISITS = 9
PAINT_SECONDS = 1.5
BROWSER_FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
# Seconds between an answer and the next request.
POLL_SECONDS = 0.5
# Seconds after which something that is waited for does not happen any more.
PATIENCE_SECONDS = 240.0


# The process that plays the page: reads the id of a job and for how many seconds to watch it, and writes how often it
# has asked and how many images it has loaded so far.
PAGE = """
import http.client, json, sys, time
def get(path):
    ask.request("GET", "/studio/" + path)
    answer = ask.getresponse()
    content = answer.read()
    assert answer.status == 200, (path, answer.status)
    return content
shown, num_images = {}, 0
for line in sys.stdin:
    number, seconds = line.split()
    ask = http.client.HTTPConnection("localhost", int(sys.argv[1]))
    begun, asked = time.perf_counter(), 0
    while time.perf_counter() - begun < float(seconds):
        job, asked = json.loads(get("jobs?of=" + number))["job"], asked + 1
        for name, version in job["images"].items():
            if shown.get(name) != version:
                get(f"jobs/{number}/{name}?v={version}")
                shown[name] = version
                num_images += 1
        time.sleep(max(0, min(POLL_SECONDS, begun + float(seconds) - time.perf_counter())))
    print(asked, num_images, flush=True)
"""


def row(name: str, turns: int) -> dict:
    """The row of a case. `turns`: those with a page, and as many without one."""
    from apps.studio import examples
    from apps.studio.server import Studio
    from fields.fit.request import FitRequest

    source, method = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.at(Path(folder))
        server, port = serve(studio)
        page = subprocess.Popen(
            [sys.executable, "-c", PAGE.replace("POLL_SECONDS", str(POLL_SECONDS)), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        path = source if ":" in source else examples.source(source, studio.folders)
        job = studio.queue.fit(FitRequest(source=path, method=method, steps=10**9), "fit")
        try:
            spent, steps = {True: 0.0, False: 0.0}, {True: 0, False: 0}
            _wait(lambda: job.step > 0 or job.state == "failed")
            # The first images load much that the others find loaded.
            _turn(page, job, watched=True)
            for turn in range(turns):
                for watched in (True, False) if turn % 2 else (False, True):
                    seconds, count = _turn(page, job, watched=watched)
                    spent[watched] += seconds
                    steps[watched] += count
        finally:
            page.communicate(timeout=10)
            job.stop()
            _wait(lambda: job.state not in ("running", "loading", "stopping"))
            server.should_exit = True
            _wait(lambda: not studio.queue.is_open)
    with_page, without = (steps[watched] / spent[watched] for watched in (True, False))
    return {
        "id": f"looked-at:{name}",
        "value": round(with_page, 2),
        "unit": "steps/s",
        "against": "not watched",
        "against_value": round(without, 2),
        "ratio": round(with_page / without, 3),
    }


def first_paint(visits: int) -> dict:
    """The row of the first paint."""
    import shutil
    from statistics import median

    from apps.studio.server import Studio

    found = {"id": PAINT, "unit": "s", "against": "limit", "against_value": PAINT_SECONDS}
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {**found, "value": None, "ratio": None, "note": "playwright is not installed"}
    if (executable := shutil.which("chromium")) is None:
        return {**found, "value": None, "ratio": None, "note": "chromium is not installed"}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = Studio.at(Path(folder))
        server, port = serve(studio)
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_FLAGS)
        try:
            # The first visit of all compiles and loads.
            first_visit(browser, f"http://localhost:{port}")
            seconds = [first_visit(browser, f"http://localhost:{port}") for _ in range(visits)]
        finally:
            browser.close()
            server.should_exit = True
            _wait(lambda: not studio.queue.is_open)
    value, whole = (median(values) for values in zip(*seconds))
    return {
        **found,
        "value": round(value, 2),
        "ratio": round(PAINT_SECONDS / value, 2),
        "note": f"the whole form after {whole:.2f} s",
    }


def first_visit(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds until the first paint and until the whole form appears, for a visitor without a cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        begun = time.monotonic()
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#start", timeout=120_000)
        whole = time.monotonic() - begun
        # The entry appears a little after the paint itself.
        painted = page.wait_for_function(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        ).json_value()
        return painted / 1000, whole
    finally:
        context.close()


def serve(studio: Studio) -> tuple[uvicorn.Server, int]:
    """Serve a studio. Returns the server, which closes the studio when it ends, and its port."""
    import uvicorn

    from apps.studio.server import make_app

    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(studio), host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    threading.Thread(target=server.run, daemon=True).start()
    _wait(lambda: server.started)
    return server, port


def _turn(page: subprocess.Popen, job: Job, *, watched: bool) -> tuple[float, int]:
    """Seconds and steps of a turn in which a page watches, or none does."""
    job.watched = 0.0
    trainer = job.trainer
    assert trainer is not None and page.stdin is not None and page.stdout is not None
    begun, first = time.perf_counter(), trainer.index
    if watched:
        page.stdin.write(f"{job.id} {TURN_SECONDS}\n")
        page.stdin.flush()
        print(f"{job.name}: requests and images so far: {page.stdout.readline().strip()}", file=sys.stderr)
    else:
        time.sleep(TURN_SECONDS)
    return time.perf_counter() - begun, trainer.index - first


def _wait(condition: Callable[[], bool]) -> None:
    """Wait for something. Raises TimeoutError where it does not happen, so that a measurement ends in any case."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise TimeoutError(f"waited for {PATIENCE_SECONDS:.0f} s in vain")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID", help="only rows whose kind and method begin with this")
    options = parser.parse_args()
    known = (*CASES, PAINT, *studio_response.ROWS)
    chosen = [name for name in known if name.startswith(options.only or "")]
    rows = [
        first_paint(3 if options.quick else VISITS) if name == PAINT else row(name, 1 if options.quick else TURNS)
        for name in chosen
        if name not in studio_response.ROWS
    ]
    if {studio_response.NEXT_PAINT, studio_response.INPUT, studio_response.ANSWER} & set(chosen):
        rows += studio_response.response(serve, _wait, BROWSER_FLAGS)
    if studio_response.GROWTH in chosen:
        rows.append(studio_response.memory(10 if options.quick else studio_response.FITS, _wait))
    if studio_response.VISITORS in chosen:
        rows.append(studio_response.visitors(serve, _wait, BROWSER_FLAGS))
    emit(report("studio", rows), options, partial=options.only is not None)


if __name__ == "__main__":
    main()
