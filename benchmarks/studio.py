"""What it costs a fit in the studio that somebody looks at it, and how soon the page is there.

    python -m benchmarks.studio [--json] [--quick] [--store] [--only ID]

A row a kind: steps a second while a page looks, against steps a second of the same fit while none does, in turns (one fit, one served studio).
The page is played, in a process of its own that does little else, by what its script asks for, as often: the fits and this one half a second
after the last answer, then its pictures where they are new; what a browser itself would take is not in it.

And one for the first paint of the page: the median of visits by a Chromium that was never there before, against the 3 seconds that it may take.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

CASES = {
    "image:hashgrid": ("skimage:astronaut", "hashgrid"),
    "image:siren": ("skimage:astronaut", "siren"),
    "shape:hashgrid": ("Knot, a shape", "hashgrid"),
    "radiance:hashgrid": ("procedural:duck", "hashgrid"),
}
TURN_SECONDS, TURNS = 5.0, 4
PAINT, VISITS, PAINT_SECONDS = "first-paint", 9, 3.0
BROWSER = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
ASK_SECONDS = 0.5


# What a page asks for: reads a job and for how many seconds to look, writes how often it has asked.
PAGE = """
import http.client, json, sys, time
def get(path):
    ask.request("GET", "/studio/" + path)
    answer = ask.getresponse()
    content = answer.read()
    assert answer.status == 200, (path, answer.status)
    return content
drawn, pictures = {}, 0
for line in sys.stdin:
    number, seconds = line.split()
    ask = http.client.HTTPConnection("localhost", int(sys.argv[1]))
    begun, asked = time.perf_counter(), 0
    while time.perf_counter() - begun < float(seconds):
        job, asked = json.loads(get("jobs?of=" + number))["job"], asked + 1
        for name, version in job["pictures"].items():
            if drawn.get(name) != version:
                get(f"jobs/{number}/{name}?v={version}")
                drawn[name] = version
                pictures += 1
        time.sleep(max(0, min(ASK_SECONDS, begun + float(seconds) - time.perf_counter())))
    print(asked, pictures, flush=True)
"""


def row(name: str, turns: int) -> dict:
    from apps.studio import examples
    from apps.studio.jobs import FitOrder
    from apps.studio.server import Studio

    source, method = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.at(Path(folder))
        server, port = _served(studio)
        page = subprocess.Popen(
            [sys.executable, "-c", PAGE.replace("ASK_SECONDS", str(ASK_SECONDS)), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        job = studio.queue.fit(
            FitOrder(source if ":" in source else examples.source(source, studio.folders), method=method, steps=10**9),
            "fit",
        )
        try:
            spent, steps = {True: 0.0, False: 0.0}, {True: 0, False: 0}
            _wait(lambda: job.step > 0 or job.state == "failed")
            _turn(page, job, True)  # (all that a first look loads)
            for turn in range(turns):
                for looked in (True, False) if turn % 2 else (False, True):
                    seconds, count = _turn(page, job, looked)
                    spent[looked] += seconds
                    steps[looked] += count
        finally:
            page.stdin.close()
            page.wait(10)
            job.stop()
            _wait(lambda: job.state not in ("running", "loading", "stopping"))
            server.should_exit = True
            _wait(lambda: not studio.queue._thread.is_alive())
    with_page, without = (steps[looked] / spent[looked] for looked in (True, False))
    return {
        "id": f"looked-at:{name}",
        "value": round(with_page, 2),
        "unit": "steps/s",
        "against": "nobody looks",
        "against_value": round(without, 2),
        "ratio": round(with_page / without, 3),
    }


def first_paint(visits: int) -> dict:
    import shutil
    from statistics import median

    from apps.studio.server import Studio

    found = {"id": PAINT, "unit": "s", "against": "what it may take", "against_value": PAINT_SECONDS}
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {**found, "value": None, "ratio": None, "note": "playwright is not installed"}
    if (place := shutil.which("chromium")) is None:
        return {**found, "value": None, "ratio": None, "note": "chromium is not installed"}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = Studio.at(Path(folder))
        server, port = _served(studio)
        browser = playwright.chromium.launch(executable_path=place, args=BROWSER)
        try:
            seen = [first_visit(browser, f"http://localhost:{port}") for _ in range(visits)]
        finally:
            browser.close()
            server.should_exit = True
            _wait(lambda: not studio.queue._thread.is_alive())
    value, whole = (median(seconds) for seconds in zip(*seen))
    return {
        **found,
        "value": round(value, 2),
        "ratio": round(PAINT_SECONDS / value, 2),
        "note": f"the whole form after {whole:.2f} s",
    }


def first_visit(browser, address: str) -> tuple[float, float]:
    """Seconds until the first paint and until the whole form is there, for a visitor who was never there before."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        begun = time.monotonic()
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#start", timeout=120_000)
        whole = time.monotonic() - begun
        # (the entry is there a little after the paint itself)
        painted = page.wait_for_function(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        ).json_value()
        return painted / 1000, whole
    finally:
        context.close()


def _served(studio):
    """The server of a studio, and its port; it closes the studio when it ends."""
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


def _turn(page, job, looked: bool) -> tuple[float, int]:
    """Seconds and steps of a while in which a page looks, or none does."""
    job.watched = 0.0
    trainer = job._trainer
    begun, first = time.perf_counter(), trainer.index
    if looked:
        page.stdin.write(f"{job.id} {TURN_SECONDS}\n")
        page.stdin.flush()
        print(f"{job.name}: asked, pictures so far: {page.stdout.readline().strip()}", file=sys.stderr)
    else:
        time.sleep(TURN_SECONDS)
    return time.perf_counter() - begun, trainer.index - first


def _wait(condition) -> None:
    while not condition():
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID", help="rows whose kind and method begin like this")
    options = parser.parse_args()
    chosen = [name for name in (*CASES, PAINT) if name.startswith(options.only or "")]
    rows = [
        first_paint(3 if options.quick else VISITS) if name == PAINT else row(name, 1 if options.quick else TURNS)
        for name in chosen
    ]
    emit(report("studio", rows), options)


if __name__ == "__main__":
    main()
