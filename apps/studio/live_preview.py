"""Progress and images of a fit while it runs. Images are drawn only while a page watches."""

from __future__ import annotations

import time

import numpy as np

from apps.studio.images import resized
from apps.studio.job import Job
from fields.compare.images import error_map
from fields.fit.callbacks import PREVIEW_SIDE
from fields.fit.trainer import Trainer

# Seconds between two updates and between two images, at least.
UPDATE_SECONDS = 0.5
# Largest fraction of the time that updates take, and that images take.
MAX_TIME_FRACTION = 0.04
# An image that takes more seconds than this is drawn smaller the next time.
IMAGE_SECONDS = 0.1
# Longest side of an image in pixels: when a fit ends, and the smallest during the fit.
FULL_SIDE = 1024
MIN_SIDE = 80
# A page that has not asked for this many seconds is not watching.
WATCHED_SECONDS = 5.0
# Points of the quality curve.
MAX_POINTS = 240


class LivePreview:
    """Callback of a trainer that keeps a job's progress, quality curve and images up to date."""

    def __init__(self, job: Job, trainer: Trainer) -> None:
        self.job = job
        self.trainer = trainer
        self._side = PREVIEW_SIDE
        self._target = trainer.objective.target(PREVIEW_SIDE)
        self._target_shape = self._target.shape
        self._next_update = self._next_image = 0.0
        self._first: tuple[float, int] | None = None
        job.show_images(target=self._target)

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        self._first = self._first or (now, trainer.index)
        if now < self._next_update:
            return
        self._report_progress(now, *self._first)
        done = time.perf_counter()
        self._next_update = done + max(UPDATE_SECONDS, (done - now) / MAX_TIME_FRACTION)
        if done >= self._next_image and time.monotonic() - self.job.watched < WATCHED_SECONDS:
            self._draw_small(done)

    def draw(self, side: int = FULL_SIDE) -> None:
        """Draw the fit and its error, with no side longer than `side` pixels."""
        objective = self.trainer.objective
        fit = objective.preview(self.trainer.field, side)
        target = self._target if side == PREVIEW_SIDE else objective.target(side)
        target = resized(target, *fit.shape[:2])
        # The target changes only with its size.
        changed = {} if self._target_shape == target.shape else {"target": target}
        self._target_shape = target.shape
        self.job.show_images(fit=fit, error=error_map(fit, target), **changed)

    def _report_progress(self, now: float, first_time: float, first_step: int) -> None:
        job, trainer = self.job, self.trainer
        job.step, job.total, job.elapsed = trainer.index, trainer.total, trainer.elapsed
        job.rate = (trainer.index - first_step) / max(now - first_time, 1e-9)
        job.remaining = (trainer.total - trainer.index) / job.rate if trainer.total and job.rate else None
        metric, value = trainer.objective.running_quality(trainer.loss)
        # The stages of a distillation have different metrics.
        if metric != job.metric:
            job.metric, job.history = metric, []
        if not np.isfinite(value):
            return
        # Views for testing are scored less often than this is called.
        if value != job.quality or not job.history:
            job.history = thinned([*job.history, (round(trainer.elapsed, 3), value)])
        job.quality = value

    def _draw_small(self, begun: float) -> None:
        """Draw during the fit: the time is not counted, and the size of the next image follows from it."""
        is_first = "fit" not in self.job.images
        self.draw(self._side)
        spent = time.perf_counter() - begun
        self.trainer.exclude_time(spent)
        # The time of the first image says little, as much is loaded for it.
        pause = UPDATE_SECONDS if is_first else max(UPDATE_SECONDS, spent / MAX_TIME_FRACTION)
        self._next_image = begun + pause
        if not is_first:
            self._side = int(min(PREVIEW_SIDE, max(MIN_SIDE, self._side * (IMAGE_SECONDS / spent) ** 0.5)))


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Every second point and the last, where there are more than `MAX_POINTS`."""
    return points if len(points) <= MAX_POINTS else [*points[:-1:2], points[-1]]
