"""How soon the studio's page answers while a fit runs, and how much memory fits, exports and visitors leave behind.

Rows of `python -m benchmarks.studio`.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.studio.server import Studio

# Rows, and what they may take: milliseconds from an input to the next paint, of the slowest of them, and of processor
# time, which other work does not lengthen; milliseconds until a press of Fit is answered; growth by fits and exports
# after the first ones; memory with several visitors.
NEXT_PAINT, INPUT, ANSWER = "next-paint", "next-paint-processor", "press-answered"
GROWTH, VISITORS = "growth", "visitors"
LIMITS = {
    NEXT_PAINT: (200.0, "ms"),
    INPUT: (200.0, "ms"),
    ANSWER: (100.0, "ms"),
    GROWTH: (10.0, "%"),
    VISITORS: (2000.0, "MB"),
}
ROWS = tuple(LIMITS)
FITS = 50
# Milliseconds after an input that are counted as its own.
SETTLED_MS = 500
NUM_VISITORS = 5
# Keeps the durations of inputs: from the event to the next paint. Browsers round them to 8 ms and leave out those below
# 16 ms, which are counted as 16.
OBSERVE = """
window.inputs = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.interactionId) window.inputs.push(entry.duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
# Presses a button and returns the milliseconds until something shows that it was pressed.
PRESS = """() => new Promise((done) => {
  const button = document.querySelector("#start");
  const begun = performance.now();
  new MutationObserver(() => requestAnimationFrame(() => done(performance.now() - begun)))
    .observe(button, { subtree: true, attributes: true, attributeFilter: ["aria-busy"] });
  button.click();
})"""


def response(serve: Callable, wait: Callable, flags: list[str]) -> list[dict[str, Any]]:
    """The rows of inputs on the first page, while a fit runs and the page watches it."""
    from playwright.sync_api import sync_playwright

    from apps.studio.server import Studio

    executable = shutil.which("chromium")
    if executable is None:
        return [row(name, None, "chromium is not installed") for name in (NEXT_PAINT, INPUT, ANSWER)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = Studio.at(Path(folder))
        server, port = serve(studio)
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        try:
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.set_default_timeout(120_000)
            page.goto(f"http://localhost:{port}")
            page.wait_for_selector("#start")
            page.get_by_role("button", name="Astronaut").click()
            page.wait_for_function("document.querySelector('#about')?.textContent.includes('image')")
            page.wait_for_timeout(500)
            answer = page.evaluate(PRESS)
            page.wait_for_selector(".live.has-fit")
            durations, costs = inputs(page)
        finally:
            browser.close()
            for job in studio.queue.jobs.values():
                job.stop()
            server.should_exit = True
            wait(lambda: not studio.queue.is_open)
    note = f"median {median(durations):.0f} ms of {len(durations)} inputs"
    cost = f"median {median(costs):.0f} ms within {SETTLED_MS} ms of an input, whatever else the machine does"
    return [
        row(NEXT_PAINT, max(durations), note),
        row(INPUT, max(costs), cost),
        row(ANSWER, answer, "until the button shows that it was pressed"),
    ]


def inputs(page: Page) -> tuple[list[float], list[float]]:
    """Milliseconds from each of some clicks and keys to the next paint, and of the page's thread that it takes."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(OBSERVE)

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def press(key: str) -> Callable[[], None]:
        return lambda: page.keyboard.press(key)

    tabs = ("Runs", "Compare", "Convert", "Photographs to 3-D", "Fit")
    efforts = ("fast", "best", "balanced")
    actions: list[Callable[[], None]] = [
        *(page.get_by_role("tab", name=tab, exact=True).click for tab in tabs),
        *(page.locator("#effort").get_by_text(label, exact=True).click for label in efforts),
        page.get_by_role("button", name="More options: size").click,
        page.locator(".slider input").focus,
        *(press("ArrowRight") for _ in range(4)),
    ]
    costs = []
    for action in actions:
        before = spent()
        action()
        page.wait_for_timeout(SETTLED_MS)
        costs.append(spent() - before)
    found = list(map(float, page.evaluate("window.inputs")))
    return [*found, *[16.0] * max(0, len(actions) - len(found))], costs


def memory(num_fits: int, wait: Callable) -> dict[str, Any]:
    """The row of what this process keeps of fits and exports, in percent of its size after the first ones."""
    import numpy as np
    from PIL import Image

    from apps.studio import exporting
    from apps.studio.server import Studio
    from apps.studio.shelf import ACTIVE
    from fields.fit.request import FitRequest

    levels = []
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)).save(photo)
        studio = Studio.at(Path(folder) / "runs")
        try:
            for index in range(num_fits + 2):
                method = ("hashgrid", "siren")[index % 2]
                job = studio.queue.fit(FitRequest(source=str(photo), method=method, steps=3), "fit")
                wait(lambda job=job: _watched(job).state in ("done", "failed"))
                if job.state == "failed":
                    raise RuntimeError(job.message)
                choice = studio.renderer.render(job.path, exporting.choices).result()[0]
                made = studio.shelf.start(job.path, choice, 2.0, 32)
                wait(lambda made=made, job=job: made.state not in ACTIVE and not studio.shelf.is_busy(job.path))
                levels.append(resident())
        finally:
            studio.close()
    first, last = levels[1], levels[-1]
    return row(GROWTH, 100 * (last / first - 1), f"{first / 1e6:.0f} to {last / 1e6:.0f} MB by {num_fits} of each")


def visitors(serve: Callable, wait: Callable, flags: list[str]) -> dict[str, Any]:
    """The row of the process with five visitors, each with a fit of another kind, of which one runs at a time."""
    from playwright.sync_api import sync_playwright

    from apps.studio import examples
    from apps.studio.server import Studio

    executable = shutil.which("chromium")
    if executable is None:
        return row(VISITORS, None, "chromium is not installed")
    peak = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = Studio.at(Path(folder))
        server, port = serve(studio)
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        try:
            for name in examples.READY[:NUM_VISITORS]:
                page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
                page.set_default_timeout(120_000)
                page.goto(f"http://localhost:{port}")
                page.wait_for_selector("#start")
                page.get_by_role("button", name=name).click()
                page.wait_for_function("document.querySelector('#estimate')?.textContent.includes('parameters')")
                page.locator("#seconds input[type=number]").fill("4")
                page.locator("#seconds input[type=number]").press("Tab")
                before = len(studio.queue.jobs)
                page.click("#start")
                wait(lambda before=before: len(studio.queue.jobs) > before)
            peaks = [0.0]

            def ended() -> bool:
                peaks.append(resident(collect=False))
                return _all_ended(studio)

            wait(ended)
            peak = max(peaks)
        finally:
            browser.close()
            server.should_exit = True
            wait(lambda: not studio.queue.is_open)
    return row(VISITORS, peak / 1e6, "the highest while five pages are open and a fit of each runs in turn")


def row(name: str, value: float | None, note: str) -> dict[str, Any]:
    """The row of a value against its limit."""
    limit, unit = LIMITS[name]
    ratio = None if value is None else round(limit / max(value, 0.01), 2)
    shown = None if value is None else round(value, 1)
    found = {"id": name, "value": shown, "unit": unit, "against": "limit", "against_value": limit}
    return {**found, "ratio": ratio, "note": note}


def resident(*, collect: bool = True) -> int:
    """Memory of this process in bytes."""
    import psutil

    if collect:
        gc.collect()
    return psutil.Process().memory_info().rss


def _watched(job: Any) -> Any:
    job.watched = time.monotonic()
    return job


def _all_ended(studio: Studio) -> bool:
    return all(job.state in ("done", "failed", "stopped") for job in studio.queue.jobs.values())
