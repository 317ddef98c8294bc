"""What watches a fit: history rows and checkpoints. A callback is any callable that takes the Trainer."""

from __future__ import annotations

import time

from fields.fit.run import Run
from fields.fit.trainer import Trainer

LOG_SECONDS = 0.5
CHECKPOINT_SECONDS = 10.0
# Saving may take this share of the time at most; large fields are then saved less often.
CHECKPOINT_SHARE = 0.02


class History:
    """Appends a row to `history.jsonl` twice a second, and at the last step."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._next = 0.0

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now < self._next and not trainer.done:
            return
        self._next = now + LOG_SECONDS
        name, value = trainer.objective.running_quality(trainer.loss)
        self.run.log({"step": trainer.index, "seconds": round(trainer.elapsed, 3), "loss": trainer.loss, name: value})


class Checkpointer:
    """Saves the state every ten seconds, less often where saving is slow."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._next = time.perf_counter() + CHECKPOINT_SECONDS

    def __call__(self, trainer: Trainer) -> None:
        if time.perf_counter() < self._next or trainer.total is None or trainer.done:
            return
        begun = time.perf_counter()
        self.run.save_checkpoint(trainer)
        now = time.perf_counter()
        self._next = now + max(CHECKPOINT_SECONDS, (now - begun) / CHECKPOINT_SHARE)
