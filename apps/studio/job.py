"""A job of the studio's queue as the page sees it: its state, progress, images and buttons."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from apps.studio.images import encode_jpeg, encode_webp
from apps.studio.quality_curve import QualityCurve
from fields.fit.trainer import Trainer
from fields.kinds import viewer_class

State = Literal["queued", "loading", "running", "stopping", "paused", "stopped", "done", "failed"]
# States of jobs that wait or are under way.
ACTIVE_STATES: tuple[State, ...] = ("queued", "loading", "running", "stopping")


class Job:
    """One fit, distillation, comparison or reconstruction.

    The worker thread writes and the page's requests read; each attribute changes in one step. A job is asked to stop,
    never killed: it then has a checkpoint, weights and scores like any other run.
    """

    # How the page calls it, and which tab shows it.
    type: ClassVar[Literal["fit", "distillation", "comparison", "reconstruction"]] = "fit"

    def __init__(self, name: str, path: Path) -> None:
        """`name`: its name for people. `path`: the folder of its result."""
        self.id = secrets.token_hex(8)
        self.name = name
        self.path = path
        # Name of the browser that asked for it; empty where none did.
        self.owner = ""
        self.state: State = "queued"
        # One line about what happens or went wrong, and one about what is fitted.
        self.message = ""
        self.info = ""
        self.kind = ""
        self.step = 0
        self.total: int | None = None
        # Seconds since the beginning and to the end, and steps per second.
        self.elapsed = 0.0
        self.remaining: float | None = None
        self.rate = 0.0
        # The metric that is shown during the fit, its last value, and its curve over seconds.
        self.metric = ""
        self.quality: float | None = None
        self.history: list[tuple[float, float]] = []
        self._curve = QualityCurve()
        self.metrics: dict[str, float] = {}
        # Encoded images by name, and the version in which each was made; `version` counts changes.
        self.images: dict[str, bytes] = {}
        self.image_versions: dict[str, int] = {}
        self.version = 0
        # Results as HTML, of jobs that have such.
        self.page = ""
        # The `time.monotonic()` at which a page asked for this job last.
        self.watched = 0.0
        self._trainer: Trainer | None = None
        # What was asked for and is not done yet.
        self._wish: Literal["", "pause", "stop"] = ""
        self._lock = threading.Lock()

    @property
    def trainer(self) -> Trainer | None:
        """The trainer of the fit that is under way."""
        return self._trainer

    def pause(self) -> None:
        """Ask the job to stop so that it can be resumed. Has no effect where it is not under way."""
        self._ask("pause")

    def stop(self) -> None:
        """Ask the job to stop for good. Has no effect where it has ended."""
        self._ask("stop")

    def _ask(self, wish: Literal["pause", "stop"]) -> None:
        with self._lock:
            if self.state == "queued" and wish == "pause":
                self.state, self.message = "paused", "left the queue; Resume puts it at the end"
            elif self.state == "queued":
                self.state, self.message = "stopped", "removed from the queue"
            elif self.state == "paused" and wish == "stop":
                self.state, self.message = "stopped", ""
            elif self.state in ("loading", "running"):
                self._wish = self._wish or wish
                self.state = "stopping"
                if self._trainer is not None:
                    self._trainer.stop()

    def requeue(self) -> bool:
        """Return to the queue after a pause, a stop or a failure. Returns False in any other state."""
        with self._lock:
            if self.state not in ("paused", "stopped", "failed"):
                return False
            self.state, self.message = "queued", ""
        return True

    def begin(self) -> bool:
        """Called by the worker before `work`. Returns False where the job was removed from the queue."""
        with self._lock:
            if self.state != "queued":
                return False
            self.state = "loading"
        return True

    def work(self) -> None:
        """Do the job, on the worker's thread. Raises BadInput for anything the user can put right."""
        raise NotImplementedError

    def fail(self, message: str) -> None:
        """Called by the worker where `work` raised an error."""
        with self._lock:
            self._trainer = None
            self.state, self.message, self._wish = "failed", message, ""

    def release(self) -> None:
        """Give back images and results that the run's page shows as well."""
        self.images, self.image_versions, self.page, self.history = {}, {}, "", []
        self._curve = QualityCurve()
        self.version += 1

    def sources(self) -> list[str]:
        """Paths of the files that the job opens, or may open again."""
        return []

    def show_images(self, **images: np.ndarray) -> None:
        """Replace images by name; each is `[H, W, 3 or 4]` uint8."""
        encoded = {
            name: encode_jpeg(image) if image.shape[2] == 3 else encode_webp(image) for name, image in images.items()
        }
        self.images = {**self.images, **encoded}
        self.image_versions = {**self.image_versions, **dict.fromkeys(encoded, self.version + 1)}
        self.version += 1

    def draw_curve(self) -> str:
        """The quality curve as SVG; empty before there are two points."""
        return self._curve.svg(self.metric, self.history, active=self.state in ACTIVE_STATES)

    def summary(self, visitor: str = "") -> dict:
        """What a list of jobs shows of it. `visitor`: name of the browser that asks."""
        mine = bool(visitor) and self.owner == visitor
        return {
            "id": self.id,
            "name": self.name,
            "run": self.path.name,
            "state": self.state,
            "type": self.type,
            "mine": mine,
        }

    def to_dict(self, visitor: str = "") -> dict:
        """Everything but the images, the curve and the page, as JSON data."""
        return {
            **self.summary(visitor),
            "message": self.message,
            "info": self.info,
            "kind": self.kind,
            "solid": bool(self.kind) and viewer_class(self.kind).solid,
            "step": self.step,
            "total": self.total,
            "elapsed": round(self.elapsed, 1),
            "remaining": self.remaining,
            "rate": round(self.rate, 1),
            "metric": self.metric,
            "quality": self.quality,
            "metrics": self.metrics,
            "version": self.version,
            "images": dict(self.image_versions),
        }

    def _set_running(self, trainer: Trainer) -> None:
        """From here on `pause` and `stop` reach the trainer, also where they were called before."""
        with self._lock:
            self._trainer = trainer
            if self.state == "stopping":
                trainer.stop()
            else:
                self.state = "running"

    def _set_ended(self, finished: bool) -> None:
        with self._lock:
            self._trainer = None
            self.remaining = None
            self.state = "done" if finished else "paused" if self._wish == "pause" else "stopped"
            self._wish = ""
