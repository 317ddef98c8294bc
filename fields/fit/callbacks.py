"""Callbacks of a fit: history rows, checkpoints and previews. A callback is any callable that takes the trainer."""

from __future__ import annotations

import time

from fields.fit.guard import is_finite
from fields.fit.trainer import Trainer
from fields.runs.run import Run
from scenes.io.atomic import atomic_write

# Seconds between history rows.
LOG_SECONDS = 0.5
# Seconds between checkpoints, at least.
CHECKPOINT_SECONDS = 10.0
# Fraction of the time that saving may take; large fields are saved less often.
CHECKPOINT_FRACTION = 0.02
# Longest side of previews during a fit, in pixels: about 0.1 megapixel.
PREVIEW_SIDE = 316
# Seconds between previews, at least.
PREVIEW_SECONDS = 10.0
# Fraction of the time that previews may take.
PREVIEW_FRACTION = 0.02


class History:
    """Append a row to `history.jsonl` twice a second, and at the last step."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._next = 0.0

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now < self._next and not trainer.done:
            return
        self._next = now + LOG_SECONDS
        name, value = trainer.objective.running_quality(trainer.loss)
        stage = {"stage": trainer.stage} if trainer.stage else {}
        self.run.log(
            {"step": trainer.index, "seconds": round(trainer.elapsed, 3), "loss": trainer.loss, name: value, **stage}
        )


class Checkpointer:
    """Save a checkpoint every ten seconds, less often where saving is slow."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._next = time.perf_counter() + CHECKPOINT_SECONDS

    def __call__(self, trainer: Trainer) -> None:
        if time.perf_counter() < self._next or trainer.total is None or trainer.done:
            return
        if not is_finite(trainer.field):
            # The fit is about to go back; what was saved before is better.
            return
        begun = time.perf_counter()
        self.run.save_checkpoint(trainer)
        now = time.perf_counter()
        self._next = now + max(CHECKPOINT_SECONDS, (now - begun) / CHECKPOINT_FRACTION)


class Previewer:
    """Write a small `preview.png` of the unfinished fit every ten seconds, less often where that is slow."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._next = time.perf_counter() + PREVIEW_SECONDS

    def __call__(self, trainer: Trainer) -> None:
        if time.perf_counter() < self._next or trainer.total is None or trainer.done:
            return
        from PIL import Image

        begun = time.perf_counter()
        with atomic_write(self.run.path / "preview.png") as temporary:
            Image.fromarray(trainer.objective.preview(trainer.field, PREVIEW_SIDE)).save(temporary)
        now = time.perf_counter()
        self._next = now + max(PREVIEW_SECONDS, (now - begun) / PREVIEW_FRACTION)
