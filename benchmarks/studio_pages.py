"""Screenshots of every page of the studio, light and dark, on a desktop and on a phone.

    python -m benchmarks.studio_pages [--out build/pages] [--runs DIR]

Without --runs, an image, a sound and a shape are fitted for a few seconds first.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.studio import BROWSER_FLAGS, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.studio.server import Studio

# Name of a screen: its width and height in pixels.
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
TABS = ("", "reconstruct", "runs", "compare", "distill")
# Examples that are fitted, and steps of each fit; the first one once more, to be compared.
EXAMPLES = {"Coffee": 400, "Bells": 200, "Knot": 200}
# Milliseconds for which a page is left alone before it is photographed.
SETTLED_MS = 2500
# Milliseconds that a page is waited for, on a machine that does other things too.
PATIENCE_MS = 180_000


def fit_examples(studio: Studio) -> None:
    """Fit the examples, and export the shape's mesh."""
    from apps.studio import examples, exporting
    from apps.studio.shelf import ACTIVE
    from fields.fit.request import FitRequest

    first = next(iter(EXAMPLES))
    for title, steps in (*EXAMPLES.items(), (first, EXAMPLES[first] // 2)):
        source = examples.source(title, studio.folders)
        job = studio.queue.fit(FitRequest(source=source, steps=steps), title.lower())
        while job.state not in ("done", "failed"):
            time.sleep(0.1)
        if job.state == "failed":
            raise RuntimeError(job.message)
        if title == "Knot":
            choice = studio.renderer.render(job.path, exporting.choices).result()[0]
            made = studio.shelf.start(job.path, choice, 1.0, 64)
            while made.state in ACTIVE:
                time.sleep(0.1)


def photograph(page: Page, address: str, out: Path, others: dict[str, str]) -> list[str]:
    """Take pictures of all pages. `others`: paths of those without tabs, by name. Returns errors of their scripts."""
    problems: list[str] = []
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: problems.append(str(error)))
    for tab in TABS:
        page.goto(f"{address}/#{tab}")
        page.wait_for_selector("#tabs")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=f"{out}-{tab or 'fit'}.png", full_page=True)
        # An address that differs after the # alone would not be loaded anew.
        page.goto("about:blank")
    for name, path in others.items():
        page.goto(address + path)
        page.wait_for_timeout(SETTLED_MS)
        show_crop_box(page)
        page.screenshot(path=f"{out}-{name}.png", full_page=True)
    return problems


def show_crop_box(page: Page) -> None:
    """Draw the crop box over a shape or scene, and open its camera path."""
    orbit = page.locator("[data-studio=orbit]")
    if not orbit.count():
        return
    for summary in ("Crop box", "Camera path"):
        orbit.get_by_text(summary, exact=True).click()
    orbit.get_by_role("button", name="Show the box").click()
    page.wait_for_timeout(SETTLED_MS)


def other_pages(studio: Studio) -> dict[str, str]:
    """Paths of the pages without tabs, by name: the welcome, the owner's view, some runs, and two that are compared."""
    runs = gallery_names(studio)
    found = {"welcome": "/?welcome", "owner": f"/owner?key={studio.owner.key}"}
    found |= {f"run-{name}": f"/run/{name}" for name in runs[:4]}
    twice = [name for name in runs if f"{name}-2" in runs]
    return found | {f"compare-{name}": f"/compare?run={name}&run={name}-2" for name in twice[:1]}


def gallery_names(studio: Studio) -> list[str]:
    """Names of the runs that have weights, the newest first."""
    from apps.studio import gallery

    return gallery.names(studio.folders)


def main() -> None:
    from playwright.sync_api import sync_playwright

    from apps.studio.server import Studio

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/pages"))
    parser.add_argument("--runs", type=Path, help="a folder of runs to show")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        studio = Studio.at(options.runs or Path(temporary))
        server, port = serve(studio)
        if options.runs is None:
            fit_examples(studio)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_FLAGS)
        try:
            for screen, (width, height) in SCREENS.items():
                for scheme in SCHEMES:
                    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page, out = context.new_page(), options.out / f"{screen}-{scheme}"
                    for problem in photograph(page, f"http://localhost:{port}", out, other_pages(studio)):
                        print(f"{screen}, {scheme}: {problem}")
                    context.close()
        finally:
            browser.close()
            server.should_exit = True
            while studio.queue.is_open:
                time.sleep(0.05)
    print(f"pictures are in {options.out}")


if __name__ == "__main__":
    main()
