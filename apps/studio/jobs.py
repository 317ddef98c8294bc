"""Fits that wait, run, pause and end: one worker thread, and what the page is told of each.

The worker drives the same `Trainer` as the command line, in this process. A job is asked to stop, never killed: it then has a
checkpoint, weights and scores like any other run.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import fields.fit.fit as fitting
import scenes
from apps.studio.folders import Folders
from apps.studio.images import quick, same_size, webp
from fields.compare.pictures import error_map
from fields.distill import distill
from fields.fit.callbacks import PREVIEW_SIDE
from fields.fit.trainer import Trainer
from fields.methods.registry import make_method
from fields.runs.run import Run
from scenes.errors import BadInput

# A live picture twice a second at most, and this share of the time at most.
LIVE_SECONDS = 0.5
LIVE_SHARE = 0.04
FULL_SIDE = 1024
# A picture that takes longer than this is drawn smaller the next time, down to this side.
PICTURE_SECONDS, MIN_SIDE = 0.1, 80
# A page that has not asked for so long is not looking.
WATCHED_SECONDS = 5.0
MAX_KEPT = 60
MAX_WAITING = 20
MAX_POINTS = 240
ACTIVE = ("queued", "loading", "running", "stopping")


@dataclass(frozen=True)
class FitOrder:
    """What to fit and how; the names are those of the command line's options."""

    source: str
    kind: str = "auto"
    loading: dict = field(default_factory=dict)
    method: str | None = None
    options: dict = field(default_factory=dict)
    seconds: float | None = None
    steps: int | None = None
    params: int | None = None
    seed: int = 0
    bits: int = 32
    init: str = "default"
    keep: float = 1.0
    start: Path | None = None  # the folder of the run whose weights it begins with
    device: str = "auto"


class Job:
    """One fit as the page sees it. The worker writes, the page's requests read; each attribute changes in one step."""

    def __init__(self, name: str, path: Path) -> None:
        self.id = secrets.token_hex(8)
        self.name = name
        self.path = path
        self.state = "queued"
        self.message = ""
        self.info = ""
        self.kind = ""
        self.step = 0
        self.total: int | None = None
        self.elapsed = 0.0
        self.left: float | None = None
        self.rate = 0.0
        self.measure = ""
        self.quality: float | None = None
        self.points: list[tuple[float, float]] = []
        self.metrics: dict = {}
        self.pictures: dict[str, bytes] = {}
        self._drawn: dict[str, int] = {}  # the version in which each picture was made
        self.version = 0
        self.watched = 0.0
        self._trainer: Trainer | None = None
        self._wish = ""  # "pause" or "stop": what was asked for, and not yet done
        self._lock = threading.Lock()

    # What a page may ask for, any number of times and in any state.

    def pause(self) -> None:
        self._ask("pause")

    def stop(self) -> None:
        self._ask("stop")

    def _ask(self, wish: str) -> None:
        with self._lock:
            if self.state == "queued":
                self.state, self.message = "stopped", "taken from the queue"
            elif self.state == "paused" and wish == "stop":
                self.state, self.message = "stopped", ""
            elif self.state in ("loading", "running"):
                self._wish = self._wish or wish
                self.state = "stopping"
                if self._trainer is not None:
                    self._trainer.stop()

    def told(self) -> dict:
        """Everything but the pictures and the curve."""
        return {
            "id": self.id,
            "name": self.name,
            "run": self.path.name,
            "state": self.state,
            "message": self.message,
            "info": self.info,
            "kind": self.kind,
            "step": self.step,
            "total": self.total,
            "elapsed": round(self.elapsed, 1),
            "left": self.left,
            "rate": round(self.rate, 1),
            "measure": self.measure,
            "quality": self.quality,
            "metrics": self.metrics,
            "version": self.version,
            "pictures": dict(self._drawn),
        }

    def begin(self) -> bool:
        """Called by the worker; False where it has been taken from the queue."""
        with self._lock:
            if self.state != "queued":
                return False
            self.state = "loading"
        return True

    def work(self) -> None:
        raise NotImplementedError

    def sources(self) -> list[str]:
        """Files that it was told to open, or may open again."""
        return []

    def _runs(self, trainer: Trainer) -> None:
        """From here on `pause` and `stop` reach the trainer; what was asked for while loading does so too."""
        with self._lock:
            self._trainer = trainer
            if self.state == "stopping":
                trainer.stop()
            else:
                self.state = "running"

    def _ended(self, finished: bool) -> None:
        with self._lock:
            self._trainer = None
            self.left = None
            self.state = "done" if finished else "paused" if self._wish == "pause" else "stopped"
            self._wish = ""

    def failed(self, message: str) -> None:
        with self._lock:
            self._trainer = None
            self.state, self.message, self._wish = "failed", message, ""

    def requeue(self) -> bool:
        """Back to the queue after a pause or a stop."""
        with self._lock:
            if self.state not in ("paused", "stopped", "failed"):
                return False
            self.state, self.message = "queued", ""
        return True

    def show(self, **pictures: np.ndarray) -> None:
        made = {name: quick(picture) if picture.shape[2] == 3 else webp(picture) for name, picture in pictures.items()}
        self.pictures = {**self.pictures, **made}
        self._drawn = {**self._drawn, **dict.fromkeys(made, self.version + 1)}
        self.version += 1


class FitJob(Job):
    """A fit, or the continuation of a run whose folder exists."""

    def __init__(self, name: str, path: Path, order: FitOrder | None) -> None:
        super().__init__(name, path)
        self.order = order
        self._target: np.ndarray | None = None
        self._next = self._next_picture = 0.0
        self._side = PREVIEW_SIDE
        self._shown: tuple[int, ...] = ()
        self._first: tuple[float, int] | None = None

    def work(self) -> None:
        started = time.perf_counter()
        trainer, run = self._continued(started) if (self.path / "run.json").is_file() else self._new(started)
        signal = trainer.objective.signal
        self.kind = signal.kind
        self.info = f"{signal.describe()} · {trainer.method.name} · {trainer.field.num_parameters:,} parameters · {trainer.field.backend}"
        self.message = " · ".join(signal.notes)
        self._target = trainer.objective.target(PREVIEW_SIDE)
        self._first = None
        self._side = PREVIEW_SIDE
        self.show(target=self._target)
        self._shown = self._target.shape
        self._runs(trainer)
        result = fitting.finish(trainer, run, [self._watch])
        self.metrics, self.step, self.total, self.elapsed = result.metrics, result.steps, trainer.total, result.seconds
        self._picture(trainer, FULL_SIDE)
        if result.finished:
            self._finished(result, run)
        self._ended(result.finished)

    def _finished(self, result: fitting.Fit, run: Run) -> None:
        """What follows a fit that came to its end."""

    def sources(self) -> list[str]:
        return (
            []
            if self.order is None
            else [self.order.source, *(value for value in self.order.loading.values() if isinstance(value, str))]
        )

    def _new(self, started: float) -> tuple[Trainer, Run]:
        order = self.order
        signal = scenes.load(order.source, order.kind, **order.loading)
        budget = {"steps": order.steps} if order.steps else {"seconds": order.seconds}
        return fitting.prepare(
            signal,
            order.method,
            **budget,
            parameters=order.params,
            seed=order.seed,
            bits=order.bits,
            init=order.init,
            keep=order.keep,
            start=Run.open(order.start) if order.start else None,
            device=order.device,
            options=dict(order.options),
            out=self.path,
            started=started,
        )

    def _continued(self, started: float) -> tuple[Trainer, Run]:
        run = Run.open(self.path)
        if run.header.get("teacher"):
            return distill.resume(run, started=started), run
        return fitting.resume(fitting.reopen(run), run, started=started), run

    def _watch(self, trainer: Trainer) -> None:
        """A callback of the trainer: tells where it is, and draws while somebody looks."""
        now = time.perf_counter()
        self._first = self._first or (now, trainer.index)
        if now < self._next:
            return
        self.step, self.total, self.elapsed = trainer.index, trainer.total, trainer.elapsed
        self.rate = (trainer.index - self._first[1]) / max(now - self._first[0], 1e-9)
        self.left = (trainer.total - trainer.index) / self.rate if trainer.total and self.rate else None
        measure, value = trainer.objective.running_quality(trainer.loss)
        if measure != self.measure:  # (a distillation's stages measure different things)
            self.measure, self.points = measure, []
        if np.isfinite(value):
            if value != self.quality or not self.points:  # (views for testing are looked at more seldom than this)
                self.points = thinned([*self.points, (round(trainer.elapsed, 3), value)])
            self.quality = value
        told = time.perf_counter()
        self._next = told + max(LIVE_SECONDS, (told - now) / LIVE_SHARE)
        if told >= self._next_picture and time.monotonic() - self.watched < WATCHED_SECONDS:
            first = "fit" not in self.pictures
            self._picture(trainer, self._side)
            spent = time.perf_counter() - told
            trainer.leave_out(spent)
            # (how long the first one takes says little: it loads what the others find)
            self._next_picture = told + max(LIVE_SECONDS, LIVE_SECONDS if first else spent / LIVE_SHARE)
            if not first:
                self._side = int(min(PREVIEW_SIDE, max(MIN_SIDE, self._side * (PICTURE_SECONDS / spent) ** 0.5)))

    def _picture(self, trainer: Trainer, side: int) -> None:
        fit = trainer.objective.preview(trainer.field, side)
        target = trainer.objective.target(side) if side != PREVIEW_SIDE else self._target
        target = same_size(target, *fit.shape[:2])
        # (the target is the same until its size changes)
        again = {} if self._shown == target.shape else {"target": target}
        self._shown = target.shape
        self.show(fit=fit, error=error_map(fit, target), **again)


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Every second point but the last, where there are too many."""
    return points if len(points) <= MAX_POINTS else [*points[:-1:2], points[-1]]


class Queue:
    """The jobs of this studio, and the thread that does them one after another."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition(threading.RLock())
        self._closed = False
        self._promised: set[Path] = set()
        self._thread = threading.Thread(target=self._serve, name="studio-worker", daemon=True)
        self._thread.start()

    def fit(self, order: FitOrder, name: str) -> Job:
        """Queues a new fit. What can be told wrong now is told now."""
        if order.method:
            make_method(order.method, dict(order.options))
        path = self.free(name)
        return self.add(FitJob(path.name, path, order))

    def free(self, name: str) -> Path:
        """A folder for a new run that neither exists nor is promised to one that waits."""
        with self._change:
            taken = {job.path for job in self.jobs.values()} | self._promised
            path, number = self.folders.new(name), 2
            while path in taken:
                path = self.folders.new(f"{name}-{number}")
                number += 1
            self._promised.add(path)
            return path

    def resume(self, path: Path, job: Job | None = None) -> Job:
        """Queues the continuation of a run: the job that it has already, also where it is under way, else `job` (by default a fit)."""
        with self._change:
            for known in reversed(self.jobs.values()):
                if known.path == path:
                    if known.state in ACTIVE:
                        return known
                    if known.requeue():
                        return self.add(known)
            job = job or FitJob(path.name, path, None)
            if isinstance(job, FitJob) and Run.open(path).header["status"] == "finished":
                raise BadInput(f"{path.name} is finished; repeat it, or fit anew")
            return self.add(job)

    def add(self, job: Job) -> Job:
        with self._change:
            if len(self._waiting) >= MAX_WAITING:
                job.stop()
                raise BadInput(f"{MAX_WAITING} fits wait already; let some of them end first")
            self.jobs[job.id] = job
            self.jobs.move_to_end(job.id)
            self._waiting.append(job)
            for old in [j for j in self.jobs.values() if j.state not in ACTIVE][: max(0, len(self.jobs) - MAX_KEPT)]:
                del self.jobs[old.id]
            self._change.notify()
        return job

    def job(self, number: str) -> Job:
        if number not in self.jobs:
            raise BadInput("there is no such fit here; it may be in the gallery")
        return self.jobs[number]

    def busy(self, path: Path) -> bool:
        return any(job.path == path and job.state in ACTIVE for job in list(self.jobs.values()))

    def sources(self) -> list[str]:
        """What its jobs were told to open."""
        return [source for job in list(self.jobs.values()) for source in job.sources()]

    def moved(self, old: Path, new: Path | None) -> None:
        """Told that a run that is not under way has another folder now, or none."""
        with self._change:
            for job in [job for job in self.jobs.values() if job.path == old]:
                if new is None:
                    del self.jobs[job.id]
                else:
                    job.path, job.name = new, new.name
            self._promised.discard(old)

    def close(self, seconds: float = 60.0) -> None:
        """Stops what runs so that it keeps its checkpoint, and waits for that."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify()
        for job in list(self.jobs.values()):
            if job.state in ("loading", "running"):
                job.stop()
        self._thread.join(seconds)

    def _serve(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
            if not job.begin():
                continue
            try:
                job.work()
            except BadInput as error:
                job.failed(" ".join(str(error).split()))
            except MemoryError:
                job.failed("there is not enough memory for this; ask for fewer parameters")
            except Exception as error:  # noqa: BLE001  (the worker outlives whatever a fit does)
                traceback.print_exc()
                job.failed(f"{type(error).__name__}: {error}")
