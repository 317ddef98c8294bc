"""Recover from divergence: go back to the last good state and lower the learning rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch

from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer

# Steps over which the loss is averaged, and between checks.
WINDOW = 32
# A state is kept at most once in this fraction of the steps so far, as copying tables takes time.
KEEP_FRACTION = 0.5
# A loss below this fraction of the first mean is never a divergence: where it is nearly zero it may double by chance.
MIN_FRACTION = 0.01
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

    Where it is not finite or far above the best before, weights and optimizer return to the last good state that was
    kept, and all rates are halved from then on. A fit that diverges too often is refused.

    worse: multiple of the best mean loss from which on a fit has diverged.
    max_halvings: how often the rates may be halved.
    """

    worse: ClassVar[float] = 10.0
    max_halvings: ClassVar[int] = 3

    def __init__(self) -> None:
        # Factor of the learning rates.
        self.rate = 1.0
        # Lowest mean loss so far.
        self.best = math.inf
        # What happened, in sentences for people.
        self.remarks: list[str] = []
        self._sum = torch.zeros(())
        self._first = math.nan
        self._saved: tuple[dict, dict] | None = None
        self._saved_at = 0

    def watch(self, trainer: Trainer, loss: torch.Tensor) -> None:
        """Take note of a step's loss, and go back where needed. Raises BadInput where lower rates do not help."""
        if self._saved is None:
            self._save(trainer)
        self._sum = self._sum + loss
        if trainer.index % WINDOW:
            return
        mean, self._sum = float(self._sum) / WINDOW, torch.zeros(())
        if math.isnan(self._first):
            self._first = mean
        if math.isfinite(mean) and mean <= max(self.worse * self.best, MIN_FRACTION * self._first):
            self._went_well(trainer, mean)
        else:
            self._go_back(trainer)

    def begin_again(self) -> None:
        """Forget the losses and states so far, as what is trained has changed on purpose."""
        self.best, self._first, self._saved, self._sum = math.inf, math.nan, None, torch.zeros(())

    def check_end(self, trainer: Trainer) -> None:
        """Return to the last good state where the last steps of a fit diverged. Raises BadInput where there is none."""
        if not trainer.index or (math.isfinite(trainer.loss) and is_finite(trainer.field)):
            return
        if self._saved is None or not math.isfinite(self.best):
            raise BadInput(
                f"the fit diverged at step {trainer.index} (loss {trainer.loss}); "
                f"a smaller rate may help: `learning_rate={trainer.method.learning_rate / 4:g}`"
            )
        self.remarks.append(
            f"the fit diverged in its last steps; the result is that of step {self._saved_at}. A smaller rate may be "
            f"better: `learning_rate={trainer.method.learning_rate * self.rate / 2:.2g}`"
        )
        _return_to(trainer, self._saved)

    def _went_well(self, trainer: Trainer, mean: float) -> None:
        """Take note of the mean loss of a window that was good."""
        if mean < self.best:
            self.best = mean
            if trainer.index - self._saved_at >= KEEP_FRACTION * trainer.index:
                self._save(trainer)

    def _go_back(self, trainer: Trainer) -> None:
        self.rate /= 2
        if self.rate < 2.0**-self.max_halvings or self._saved is None:
            rate = trainer.method.learning_rate / 2 ** (self.max_halvings + 1)
            raise BadInput(
                f"the fit diverged at step {trainer.index} {self._halved}; "
                f"begin with a smaller one: `learning_rate={rate:.2g}`, or a larger batch: "
                f"`batch={4 * trainer.method.batch}`"
            )
        self.remarks.append(
            f"the fit diverged at step {trainer.index}; it went back to step {self._saved_at} and goes on with "
            f"{self.rate:g} times the learning rates. A smaller rate from the start may be better: "
            f"`learning_rate={trainer.method.learning_rate * self.rate:.2g}`"
        )
        _return_to(trainer, self._saved)

    @property
    def _halved(self) -> str:
        if self._saved is None:
            return "before there was a state to go back to"
        return f"although its rates were halved {self.max_halvings} times"

    def state(self) -> dict:
        """Plain values that a checkpoint keeps."""
        return {
            "rate": self.rate,
            "best": self.best if math.isfinite(self.best) else None,
            "first": self._first if math.isfinite(self._first) else None,
            "remarks": self.remarks,
        }

    def restore(self, state: dict) -> None:
        """Take up what `state` gave; the good state to return to is then the checkpoint's."""
        self.rate = state["rate"]
        self.best = math.inf if state["best"] is None else state["best"]
        first = state.get("first")
        self._first = math.nan if first is None else first
        self.remarks = list(state.get("remarks", []))

    def _save(self, trainer: Trainer) -> None:
        # The loss tells of the weights before the step; the step itself may have spoilt them.
        if not is_finite(trainer.field):
            return
        self._saved = _copy(trainer.field.state_dict()), _copy(trainer.optimizer.state_dict())
        self._saved_at = trainer.index


class RestartingGuard(DivergenceGuard):
    """For methods that diverge, or never start to learn, at learning rates which otherwise suit them (WIRE).

    A divergence is four times the best loss (6 dB); rates may be halved eight times.

    Where after 256 steps the loss is still about a constant's and no longer falls, the first steps were too large and
    have put every wavelet where it is zero. The fit then begins again with a quarter of the rates. If three such
    restarts do not help, it begins once more with its own rates and is left alone.
    """

    worse = 4.0
    max_halvings = 8

    def __init__(self) -> None:
        super().__init__()
        self.restarts = 0
        # Whether the fit has become better than a constant.
        self.improved = False
        self._since = 0
        self._means: list[float] = []
        self._constant: float | None = None
        self._start: tuple[dict, dict] | None = None

    def watch(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if self._saved is None:
            self._save(trainer)
            self._start = None if self.improved else self._saved
        super().watch(trainer, loss)

    def _went_well(self, trainer: Trainer, mean: float) -> None:
        if mean < self.best:
            self.best = mean
            self._save(trainer)
        if not self.improved:
            self._restart_if_still(trainer, mean)

    def state(self) -> dict:
        return {**super().state(), "restarts": self.restarts}

    def restore(self, state: dict) -> None:
        """As for `DivergenceGuard`. There are no restarts any more: the weights of the first step are not kept."""
        super().restore(state)
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


def is_finite(field: torch.nn.Module) -> bool:
    """Whether all parameters of a field are finite."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in field.parameters())


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
