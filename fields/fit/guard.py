"""Goes back and halves the rates when a fit runs away or never sets out, for methods that do so at rates which otherwise suit them (WIRE)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer

WINDOW = 32  # steps over which the loss is averaged, and between looks
WORSE = 4.0  # 6 dB
HALVINGS = 8
# A fit that after so many steps is not below this share of what the best constant leaves, and has not fallen by a fiftieth in the last half of them,
# stands still: too large a first step has put every wavelet where it is zero. Signals that are hard to learn may look the same, so this is tried three
# times and then left alone.
STILL = 0.7
STILL_STEPS = 8 * WINDOW
MOVING = 0.98
STILL_HALVINGS = 3


class DivergenceGuard:
    """Looks at the mean loss of every 32 steps. Where it is not finite or four times the best before, the weights and the optimizer
    return to where that best was seen and all rates are halved from then on; after eight halvings the fit is refused.

    Where after 256 steps the loss is still about what a constant would have and no longer falls, the fit begins again with rates of a quarter; where three such
    beginnings do not help, it goes on from the start with the rates that it was given.
    """

    def __init__(self) -> None:
        self.rate = 1.0
        self.best = math.inf
        self.restarts = 0
        self.set_out = False  # whether the fit has been better than a constant
        self._since = 0
        self._means: list[float] = []
        self._sum = torch.zeros(())
        self._constant: float | None = None
        self._saved: tuple[dict, dict] | None = None
        self._start: tuple[dict, dict] | None = None

    def watch(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if self._saved is None:
            self._save(trainer)
            self._start = None if self.set_out else self._saved
        self._sum = self._sum + loss
        if trainer.index % WINDOW:
            return
        mean, self._sum = float(self._sum) / WINDOW, torch.zeros(())
        if mean <= WORSE * self.best:
            if mean < self.best:
                self.best = mean
                self._save(trainer)
            if not self.set_out:
                self._look_whether_it_moves(trainer, mean)
            return
        self.rate /= 2
        if self.rate < 2.0**-HALVINGS:
            raise BadInput(
                f"the fit diverged at step {trainer.index} although its rates were halved {HALVINGS} times; "
                f"begin with a smaller one: --set learning_rate={trainer.method.learning_rate / 2**HALVINGS:g}"
            )
        _return(trainer, self._saved)

    def _look_whether_it_moves(self, trainer: Trainer, mean: float) -> None:
        if self._constant is None:
            self._constant = trainer.objective.constant_loss(trainer.index - 1, trainer.method.batch, trainer.seed)
        self._means.append(mean)
        if self._constant is None or mean < STILL * self._constant:
            self.set_out, self._start = True, None
        elif (
            trainer.index - self._since >= STILL_STEPS and mean > MOVING * self._means[-1 - STILL_STEPS // WINDOW // 2]
        ):
            _return(trainer, self._start)
            self.restarts += 1
            self._since, self._means, self.best = trainer.index, [], math.inf
            self.rate /= 4
            if self.restarts > STILL_HALVINGS:
                self.rate, self.set_out, self._start = 1.0, True, None

    def _save(self, trainer: Trainer) -> None:
        self._saved = _copy(trainer.field.state_dict()), _copy(trainer.optimizer.state_dict())

    def state(self) -> dict:
        return {"rate": self.rate, "best": self.best if math.isfinite(self.best) else None, "restarts": self.restarts}

    def restore(self, state: dict) -> None:
        self.rate = state["rate"]
        self.best = math.inf if state["best"] is None else state["best"]
        self.restarts = state.get("restarts", 0)
        self.set_out = True  # what it would begin with again is not kept


def _return(trainer: Trainer, saved: tuple[dict, dict]) -> None:
    weights, optimizer = saved
    trainer.field.load_state_dict(weights)
    trainer.optimizer.load_state_dict(_copy(optimizer))


def _copy(state: dict) -> dict:
    return {
        key: _copy(value) if isinstance(value, dict) else value.clone() if isinstance(value, torch.Tensor) else value
        for key, value in state.items()
    }
