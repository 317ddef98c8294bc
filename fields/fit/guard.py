"""Recover from divergence: go back and lower the learning rates.

For methods that diverge, or never start to learn, at learning rates which otherwise suit them (WIRE).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer

# Steps over which the loss is averaged, and between checks.
WINDOW = 32
# A mean loss this many times the best before counts as divergence (6 dB).
WORSE = 4.0
# How often the rates may be halved before the fit is refused.
MAX_HALVINGS = 8
# A fit stands still if its loss stays above this fraction of a constant's ...
STILL = 0.7
# ... after so many steps ...
STILL_STEPS = 8 * WINDOW
# ... and is above this fraction of what it was half as many steps before.
MOVING = 0.98
# How often a fit that stands still begins again. Limited, as signals that are hard to learn look the same.
MAX_RESTARTS = 3


class DivergenceGuard:
    """Checks the mean loss of every 32 steps.

    Where it is not finite or four times the best before, the weights and the optimizer return to their state at that
    best, and all rates are halved from then on. After eight halvings the fit is refused.

    Where after 256 steps the loss is still about a constant's and no longer falls, the first steps were too large and
    have put every wavelet where it is zero. The fit then begins again with a quarter of the rates. If three such
    restarts do not help, it begins once more with its own rates and is left alone.
    """

    def __init__(self) -> None:
        # Factor of the learning rates.
        self.rate = 1.0
        # Lowest mean loss so far.
        self.best = math.inf
        self.restarts = 0
        # Whether the fit has become better than a constant.
        self.improved = False
        self._since = 0
        self._means: list[float] = []
        self._sum = torch.zeros(())
        self._constant: float | None = None
        self._saved: tuple[dict, dict] | None = None
        self._start: tuple[dict, dict] | None = None

    def watch(self, trainer: Trainer, loss: torch.Tensor) -> None:
        """Take note of a step's loss, and go back where needed. Raises BadInput where lower rates do not help."""
        if self._saved is None:
            self._save(trainer)
            self._start = None if self.improved else self._saved
        self._sum = self._sum + loss
        if trainer.index % WINDOW:
            return
        mean, self._sum = float(self._sum) / WINDOW, torch.zeros(())
        if mean <= WORSE * self.best:
            if mean < self.best:
                self.best = mean
                self._save(trainer)
            if not self.improved:
                self._restart_if_still(trainer, mean)
            return
        self.rate /= 2
        if self.rate < 2.0**-MAX_HALVINGS:
            raise BadInput(
                f"the fit diverged at step {trainer.index} although its rates were halved {MAX_HALVINGS} times; "
                f"begin with a smaller one: `learning_rate={trainer.method.learning_rate / 2**MAX_HALVINGS:g}`"
            )
        _return_to(trainer, self._saved)

    def state(self) -> dict:
        """Plain values that a checkpoint keeps."""
        return {"rate": self.rate, "best": self.best if math.isfinite(self.best) else None, "restarts": self.restarts}

    def restore(self, state: dict) -> None:
        """Take up what `state` gave. There are no restarts any more: the weights of the first step are not kept."""
        self.rate = state["rate"]
        self.best = math.inf if state["best"] is None else state["best"]
        self.restarts = state.get("restarts", 0)
        self.improved = True

    def _restart_if_still(self, trainer: Trainer, mean: float) -> None:
        if self._constant is None:
            self._constant = trainer.objective.constant_loss(trainer.index - 1, trainer.method.batch, trainer.seed)
        self._means.append(mean)
        if self._constant is None or mean < STILL * self._constant:
            self.improved, self._start = True, None
            return
        if trainer.index - self._since < STILL_STEPS:
            return
        if mean <= MOVING * self._means[-1 - STILL_STEPS // WINDOW // 2]:
            return
        _return_to(trainer, self._start)
        self.restarts += 1
        self._since, self._means, self.best = trainer.index, [], math.inf
        self.rate /= 4
        if self.restarts > MAX_RESTARTS:
            self.rate, self.improved, self._start = 1.0, True, None

    def _save(self, trainer: Trainer) -> None:
        self._saved = _copy(trainer.field.state_dict()), _copy(trainer.optimizer.state_dict())


def _return_to(trainer: Trainer, saved: tuple[dict, dict] | None) -> None:
    assert saved is not None
    weights, optimizer = saved
    trainer.field.load_state_dict(weights)
    trainer.optimizer.load_state_dict(_copy(optimizer))


def _copy(state: dict) -> dict:
    return {
        key: _copy(value) if isinstance(value, dict) else value.clone() if isinstance(value, torch.Tensor) else value
        for key, value in state.items()
    }
