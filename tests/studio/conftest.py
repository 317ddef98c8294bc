"""Fixtures of the studio's tests: a studio that is served, and a real browser that opens it."""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

import pytest

# The folder of `posed_scene`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fit"))
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
# Milliseconds that a page is waited for; machines that do other things as well are slow.
TIMEOUT = 120_000


@pytest.fixture
def folders(tmp_path):
    from apps.studio.folders import Folders

    return Folders.at(tmp_path / "runs")


@pytest.fixture
def queue(folders):
    from apps.studio.job_queue import JobQueue

    made = JobQueue(folders)
    yield made
    made.close()


@pytest.fixture
def idle_studio(tmp_path, monkeypatch):
    """A studio without a page."""
    from apps.studio.server import Studio

    made = Studio.at(tmp_path / "runs")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(made.folders.arriving))
    yield made
    made.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A running studio and its address."""
    import uvicorn

    from apps.studio.server import Studio, make_app

    made = Studio.at(tmp_path_factory.mktemp("studio") / "runs")
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(made), host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    begun = time.monotonic()
    while not server.started:
        assert time.monotonic() - begun < 120, "the studio did not start"
        time.sleep(0.05)
    yield made, f"http://localhost:{port}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture(scope="session")
def studio(served):
    """The running studio."""
    return served[0]


@pytest.fixture(scope="session")
def address(served):
    """The address of the running studio."""
    return served[1]


class Visitor:
    """A page of the studio, with what the tests do repeatedly."""

    def __init__(self, browser, studio, address, *, width=1280, height=900, scheme="light") -> None:
        self.studio = studio
        self.address = address
        self.problems: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", lambda request: self._check_host(request.url))
        self.open()

    def _check_host(self, address: str) -> None:
        if not address.startswith((self.address, "data:", "blob:")):
            self.problems.append(f"asked for {address}")

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_selector("#start")

    def tab(self, name: str) -> None:
        button = self.page.get_by_role("tab", name=name, exact=True)
        # On narrow screens some tabs are in a menu.
        if not button.is_visible():
            self.page.locator(".overflow-menu button").first.click()
            self.page.locator(".overflow-dropdown").get_by_role("button", name=name, exact=True).click()
        else:
            button.click()

    def choose(self, selector: str, name: str) -> None:
        self.page.click(f"{selector} input")
        self.page.get_by_role("option", name=name).first.click()

    def example(self, name: str, kind: str) -> None:
        self.choose("#example", name)
        self.shows("#about", kind)

    def upload(self, file: Path) -> None:
        if self.page.locator("#upload input[type=file]").count() == 0:
            self.page.locator("#upload button[aria-label='Clear'], #upload button[aria-label='Remove']").first.click()
        self.page.set_input_files("#upload input[type=file]", str(file))

    def shows(self, selector: str, text: str) -> None:
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
        )

    def steps(self, count: int) -> None:
        box = self.page.locator("#steps textarea, #steps input")
        if not box.is_visible():
            self.page.get_by_role("button", name="More options: size").click()
        box.fill(str(count))
        box.press("Tab")

    def fit(self) -> None:
        before = len(self.studio.queue.jobs)
        self.page.click("#start")
        self.until(lambda: len(self.studio.queue.jobs) > before)

    def state(self, *states: str) -> str:
        self.page.wait_for_function(
            "states => states.includes(document.querySelector('[data-studio=live] .chip')?.dataset.state)",
            arg=list(states),
        )
        return self.page.locator("[data-studio=live] .chip").get_attribute("data-state")

    def settled(self) -> None:
        """Wait until the controls that have just opened are shown."""
        self.page.wait_for_function("!document.querySelector('.settling')")

    def until(self, condition, seconds: float = TIMEOUT / 1000) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, "it did not happen"
            self.page.wait_for_timeout(50)

    def accessible(self) -> None:
        """axe-core finds nothing serious in what is shown now."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        assert [
            f"{v['id']}: {node['html'][:160]}"
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ] == []

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visit(chromium, studio, address):
    """Opens pages. At the end none of them had a script error or asked another host for anything."""
    visitors = []

    def open_page(**options) -> Visitor:
        visitors.append(Visitor(chromium, studio, address, **options))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.context.close()
    for job in list(studio.queue.jobs.values()):
        job.stop()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """The run folder of a small posed scene with a few floaters."""
    from posed_scene import SMALL_GRID, write_scene

    from apps.cli.main import main

    folder = tmp_path_factory.mktemp("scene")
    settings = [f"{name}={value}" for name, value in SMALL_GRID.items()]
    assert (
        main(
            [
                "fit",
                str(write_scene(folder / "ball")),
                "--steps",
                "30",
                "--out",
                str(folder / "run"),
                "--set",
                *settings,
            ]
        )
        == 0
    )
    return folder / "run"
