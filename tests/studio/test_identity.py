"""No result appears under a wrong name, whatever people do in whatever order.

Random sequences of uploads, fits, pauses, cancels, exports, renamings, deletions and reloads by two visitors. Pages are
played without a browser: they know what the studio sent them, which may arrive late.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

pytest.importorskip("gradio")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from apps.studio.choice import Choice  # noqa: E402
from apps.studio.exporting import ExportChoice  # noqa: E402
from apps.studio.job import Job  # noqa: E402
from apps.studio.routes import add_routes  # noqa: E402
from apps.studio.server import Studio  # noqa: E402
from apps.studio.shelf import ACTIVE  # noqa: E402
from apps.studio.tabs import fit as fit_tab  # noqa: E402
from apps.studio.visitors import COOKIE  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.errors import BadInput  # noqa: E402

VISITORS = ("a" * 32, "b" * 32)
SOURCES = ("cat.png", "dog.png", "owl.wav")
# Grey level of the images of each source.
LEVELS = {name: 60 * index + 40 for index, name in enumerate(SOURCES)}


class GatedJob(Job):
    """A fit that ends when it may, with an image and a score that tell its source."""

    def __init__(self, name, path, source):
        super().__init__(name, path)
        self.source = source
        self.go_on = threading.Event()

    def pause(self):
        super().pause()
        self.go_on.set()

    def stop(self):
        super().stop()
        self.go_on.set()

    def work(self):
        self.state = "running"
        if not self.path.exists():
            Run.create(self.path, {"kind": "image", "method": "hashgrid", "source": {"path": self.source}})
        self.show_images(fit=np.full((8, 8, 3), LEVELS[self.source], np.uint8))
        assert self.go_on.wait(60)
        self.go_on.clear()
        self.metrics = {"psnr": float(LEVELS[self.source])}
        self._set_ended(finished=self.state == "running")


@dataclass(frozen=True, kw_only=True)
class SourceExport(ExportChoice):
    """Writes what the run was fitted to."""

    def write(self, run, out, scale, cells, progress):
        out.write_text(run.header["source"]["path"])


@dataclass
class Page:
    """One open page: what it shows, and what is on its way to it."""

    visitor: str
    choice: Choice = field(default_factory=Choice)
    ticket: str = ""
    shown: str = ""
    inbox: list = field(default_factory=list)


@dataclass
class Reading:
    page: Page
    source: str
    gate: threading.Event
    answer: object


class Visits(RuleBasedStateMachine):
    """Whatever two visitors do."""

    pages, readings, jobs = Bundle("pages"), Bundle("readings"), Bundle("jobs")
    folder = None  # set by the test

    @initialize(target=pages)
    def begin(self):
        self.place = type(self).folder / f"{time.monotonic_ns()}"
        self.studio = Studio.at(self.place)
        app = FastAPI()
        add_routes(app, self.studio.folders, self.studio.queue, self.studio.renderer, self.studio.shelf)
        self.client = TestClient(app, base_url="http://localhost")
        self.events = ThreadPoolExecutor(16)
        self.gates = []
        self.all_jobs = []
        self.tab = fit_tab.FitTab.__new__(fit_tab.FitTab)
        self.tab.studio = self.studio
        return multiple(*map(Page, VISITORS))

    def teardown(self):
        for gate in self.gates:
            gate.set()
        for job in self.all_jobs:
            job.stop()
        self.events.shutdown(wait=True)
        self.studio.close()

    @rule(target=pages, visitor=st.sampled_from(VISITORS))
    def open_page(self, visitor):
        return Page(visitor)

    @rule(target=readings, page=pages, source=st.sampled_from(SOURCES))
    def choose(self, page, source):
        """A file begins to be read; others may be read before it is done."""
        if sum(not gate.is_set() for gate in self.gates) > 12:
            return multiple()
        gate, entered = threading.Event(), threading.Event()
        self.gates.append(gate)

        def find(name):
            entered.set()
            assert gate.wait(60)
            return name, name.partition(".")[0]

        answer = self.events.submit(self.tab._open, page.choice, find, source, source)
        assert entered.wait(60)
        return Reading(page, source, gate, answer)

    @rule(reading=consumes(readings))
    def reading_ends(self, reading):
        reading.gate.set()
        ticket, chosen, *_ = reading.answer.result(60)
        # Values that do not change anything are Gradio's own.
        if isinstance(ticket, str):
            reading.page.inbox.append((ticket, chosen["source"]))

    @rule(page=pages)
    def answer_arrives(self, page):
        if page.inbox:
            page.ticket, page.shown = page.inbox.pop(0)

    @rule(target=jobs, page=pages)
    def press_fit(self, page):
        try:
            chosen = page.choice.current(page.ticket)
        except BadInput:
            return multiple()
        if chosen is None:
            return multiple()
        assert chosen["source"] == page.shown, "what is fitted is what the page shows"
        path = self.studio.queue.reserve(chosen["name"])
        job = GatedJob(path.name, path, chosen["source"])
        try:
            self.studio.queue.add(job, page.visitor)
        except BadInput:
            return multiple()
        self.all_jobs.append(job)
        return job

    @rule(target=jobs, page=pages, source=st.sampled_from(SOURCES))
    def fit_at_once(self, page, source):
        """Choose a signal, wait until it is shown, and fit it, whatever is still being read."""
        reading = self.choose(page, source)
        if not isinstance(reading, Reading):
            return multiple()
        self.reading_ends(reading)
        page.ticket, page.shown = page.inbox.pop()
        page.inbox.clear()
        return self.press_fit(page)

    @rule(page=pages)
    def reload(self, page):
        page.choice, page.ticket, page.shown, page.inbox = Choice(), "", "", []

    @rule(job=jobs, action=st.sampled_from(["pause", "stop", "resume"]))
    def press(self, job, action):
        self.client.post(f"/studio/jobs/{job.id}/{action}")
        assert job.state != "queued" or action == "resume", "a paused job does not stay in the queue"

    @rule(job=jobs)
    def fit_ends(self, job):
        if job.state == "running":
            job.go_on.set()

    @rule(job=jobs, page=pages)
    def watch(self, job, page):
        """What a page gets of a job is that job's, and says whether the visitor has started it."""
        answer = self.client.get("/studio/jobs", params={"of": job.id}, headers={"cookie": f"{COOKIE}={page.visitor}"})
        answer = answer.json()
        for known in answer["jobs"]:
            assert known["mine"] == (self.studio.queue.jobs[known["id"]].owner == page.visitor)
        shown = answer["job"]
        if shown is None:
            return
        assert (shown["id"], shown["run"]) == (job.id, job.path.name)
        assert not shown["metrics"] or shown["metrics"]["psnr"] == LEVELS[job.source]
        if "fit" in shown["images"]:
            from io import BytesIO

            from PIL import Image

            content = self.client.get(f"/studio/jobs/{job.id}/fit").content
            assert abs(int(np.asarray(Image.open(BytesIO(content)))[0, 0, 0]) - LEVELS[job.source]) < 8

    @rule(job=jobs)
    def export(self, job):
        if not (job.path / "run.json").is_file():
            return
        made = self.studio.shelf.start(job.path, SourceExport(label="source (.txt)", ending=".txt"), 1.0, 32)
        begun = time.monotonic()
        while made.state in ACTIVE or self.studio.shelf.is_busy(job.path):
            assert time.monotonic() - begun < 60, "the export does not end"
            time.sleep(0.001)
        assert made.state == "done", made.message

    @rule(job=jobs, name=st.sampled_from(["x", "y", "cat", "dog"]))
    def rename(self, job, name):
        answer = self.client.post(f"/studio/runs/{job.path.name}/rename", json={"to": name})
        assert answer.status_code in (200, 400)

    @rule(job=jobs, undo=st.booleans())
    def delete(self, job, undo):
        name = job.path.name
        answer = self.client.post(f"/studio/runs/{name}/delete", json={})
        if answer.status_code == 200 and undo:
            restored = self.client.post(f"/studio/runs/{name}/restore", json=answer.json()).json()
            assert (self.studio.folders.runs / restored["name"] / "run.json").is_file()

    @invariant()
    def exports_lie_with_their_runs(self):
        if not hasattr(self, "studio"):
            return
        for path in self.studio.folders.runs.glob("*/run.json"):
            source = Run.open(path.parent).header["source"]["path"]
            for export in self.studio.shelf.entries(path.parent):
                address = f"/studio/runs/{path.parent.name}/exports/{export['id']}"
                assert export["state"] != "done" or self.client.get(address).text == source


@pytest.fixture
def light(monkeypatch):
    """Signals are opened by their names alone."""

    def shown(source, name):
        return {"source": source, "name": name, "kind": "image", "methods": ["hashgrid"]}, "", "", {}

    monkeypatch.setattr(fit_tab, "shown_signal", shown)
    monkeypatch.setattr(fit_tab, "mark_used", lambda *_: None)


@pytest.mark.slow
def test_no_result_appears_under_a_wrong_name(light, tmp_path):
    from hypothesis.stateful import run_state_machine_as_test

    Visits.folder = tmp_path
    run_state_machine_as_test(
        Visits,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Each example serves a studio: a shorter one is not looked for.
            phases=(Phase.generate,),
        ),
    )
