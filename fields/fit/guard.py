"""Goes back and halves the rates when a fit runs away, for methods that do so at rates which otherwise suit them (WIRE)."""

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


class DivergenceGuard:
    """Looks at the mean loss of every 32 steps. Where it is not finite or four times the best before, the weights and the optimizer
    return to where that best was seen and all rates are halved from then on; after eight halvings the fit is refused."""

    def __init__(self) -> None:
        self.rate = 1.0
        self.best = math.inf
        self._sum = torch.zeros(())
        self._saved: tuple[dict, dict] | None = None

    def watch(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if self._saved is None:
            self._save(trainer)
        self._sum = self._sum + loss
        if trainer.index % WINDOW:
            return
        mean, self._sum = float(self._sum) / WINDOW, torch.zeros(())
        if mean <= WORSE * self.best:
            if mean < self.best:
                self.best = mean
                self._save(trainer)
            return
        self.rate /= 2
        if self.rate < 2.0 ** -HALVINGS:
            raise BadInput(f"the fit diverged at step {trainer.index} although its rates were halved {HALVINGS} times; "
                           f"begin with a smaller one: --set learning_rate={trainer.method.learning_rate / 2 ** HALVINGS:g}")
        weights, optimizer = self._saved
        trainer.field.load_state_dict(weights)
        trainer.optimizer.load_state_dict(_copy(optimizer))

    def _save(self, trainer: Trainer) -> None:
        self._saved = _copy(trainer.field.state_dict()), _copy(trainer.optimizer.state_dict())

    def state(self) -> dict:
        return {"rate": self.rate, "best": self.best if math.isfinite(self.best) else None}

    def restore(self, state: dict) -> None:
        self.rate = state["rate"]
        self.best = math.inf if state["best"] is None else state["best"]


def _copy(state: dict) -> dict:
    return {key: _copy(value) if isinstance(value, dict) else value.clone() if isinstance(value, torch.Tensor) else value
            for key, value in state.items()}
