"""The training loop, and how a time budget becomes a number of steps.

With a time budget, the rate is measured over the first steps. Then the number of steps is fixed, and it alone drives
the schedule, so that a resumed run has the schedule of an uninterrupted one. Where the cost of steps changes as the
field takes shape, the rate is measured and the number fixed once more half-way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch

from fields.fit.guard import DivergenceGuard
from fields.fit.objectives.base import Objective
from fields.fit.prune import PRUNE_AT, Pruner
from fields.methods.base import Method
from fields.models.field import Field
from fields.ops.adam import Adam
from fields.runs.storage import StraightThrough
from scenes.errors import BadInput

# Steps over which the rate is measured, at least, after the first one, which is slower.
RATE_STEPS = 4
# Fraction of the time budget over which the rate is measured, at least.
RATE_FRACTION = 0.08
# Fraction of the time, or of the steps that were fixed before, after which the rate is measured again.
HALF_WAY = 0.5
# Fraction of the remaining time that is planned for, as steps may become slower and the budget has to be kept.
MARGIN = 0.95
# Steps between checks that the loss is finite. On a GPU each check waits for all steps before it.
CHECK_EVERY = 16


class Trainer:
    """Fit a field to an objective with the recipe of a method.

    `steps`, `seconds`: the budget; exactly one is given.
    `seed`: of the batches.
    `bits`: bits per stored weight; below 32, training uses rounded weights (`fields.runs.storage`).
    `keep_fraction`: fraction of the weights to keep (`fields.fit.prune`).
    `started`: the `time.perf_counter()` from which the time budget counts; by default now.
    `callbacks`: called with the trainer after each step.

    Raises BadInput where the objective cannot use such a field.
    """

    def __init__(
        self,
        field: Field,
        objective: Objective,
        method: Method,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        seed: int = 0,
        bits: int = 32,
        keep_fraction: float = 1.0,
        started: float | None = None,
        callbacks: Iterable[Callable[[Trainer], None]] = (),
    ) -> None:
        if (steps is None) == (seconds is None):
            raise ValueError("give either steps or seconds")
        if not isinstance(field, objective.requires):
            raise BadInput(
                f"a {objective.signal.kind} needs a {objective.requires.__name__}; "
                f"method {method.name} builds a {type(field).__name__}"
            )
        self.field = field
        self.objective = objective
        self.method = method
        self.seed = seed
        self.bits = bits
        self.keep_fraction = keep_fraction
        self.total = steps
        self.seconds = seconds
        self.index = 0
        self.stopped = False
        self.callbacks = list(callbacks)
        self.device = next(field.parameters()).device
        self.optimizer = Adam(method.field_groups(field) + objective.parameter_groups(method))
        self._fused = field.fused_step(objective.loss_name)
        self._base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._started = time.perf_counter() if started is None else started
        self._rate_from: tuple[float, int] | None = None
        self._measurements = 0 if seconds is None else 1 + objective.step_cost_varies
        self._loss = torch.tensor(math.nan)
        self._rounding = StraightThrough(field, bits) if bits != 32 else nullcontext()
        self._guard = DivergenceGuard() if method.guarded else None
        self._pruner: Pruner | None = None

    @property
    def elapsed(self) -> float:
        """Seconds of the budget that are spent, including those before the run was resumed."""
        return time.perf_counter() - self._started

    @property
    def loss(self) -> float:
        """Loss of the batch of the last step."""
        return float(self._loss)

    @property
    def fused(self) -> bool:
        """Whether the coming step is a native one."""
        return self._fused is not None and self.objective.plain

    @property
    def stage(self) -> str:
        """Name of the present stage of training; empty where there are no stages."""
        return ""

    @property
    def done(self) -> bool:
        """Whether all steps are made."""
        return self.total is not None and self.index >= self.total

    def step(self) -> None:
        """Train on one batch."""
        factor = self.method.rate_factor(self.index, self.total) * (self._guard.rate if self._guard else 1.0)
        for group, rate in zip(self.optimizer.param_groups, self._base_rates):
            group["lr"] = rate * factor
        if (
            self.keep_fraction < 1
            and self._pruner is None
            and self.total is not None
            and self.index >= PRUNE_AT * self.total
        ):
            self._pruner = Pruner(self.field, self.keep_fraction)
        self.field.before_step(self.index, self.total)
        self.objective.before_step(self.field, self.index, self.total)
        batch = self.objective.batch(self.index, self.method.batch, self.seed, self.device)
        with self._rounding:
            self._gradients(batch)
        self.optimizer.step()
        if self._pruner is not None:
            self._pruner()
        self.index += 1
        if self._guard is not None:
            self._guard.watch(self, self._loss)

    def _gradients(self, batch: tuple[torch.Tensor, ...]) -> None:
        if self._fused is not None and self.objective.plain:
            self._loss = self._fused(*batch)
        else:
            self.optimizer.zero_grad()
            loss = self.objective.loss(self.field, batch)
            penalty = self.field.regularisation()
            (loss if penalty is None else loss + penalty).backward()
            self._loss = loss.detach()

    def run(self) -> None:
        """Train until the budget is spent or `stop` is called. Raises BadInput where the loss is no longer finite."""
        while not (self.stopped or self.done):
            self.step()
            for callback in self.callbacks:
                callback(self)
            if self._measurements:
                self._fix_steps()
            if self._guard is None and self.index % CHECK_EVERY == 0 and not math.isfinite(self.loss):
                raise BadInput(
                    f"the fit diverged at step {self.index} (loss {self.loss}); "
                    f"a smaller rate may help: `learning_rate={self.method.learning_rate / 4:g}`"
                )

    def stop(self) -> None:
        """End `run` after the current step. May be called from a callback, a signal handler or another thread."""
        self.stopped = True

    def exclude_time(self, seconds: float) -> None:
        """Exclude time from the measured rate of steps: for callbacks whose work took long and is rare."""
        if self._rate_from is not None:
            self._rate_from = self._rate_from[0] + seconds, self._rate_from[1]

    def _fix_steps(self) -> None:
        """Fix the number of steps once the rate has been measured long enough."""
        assert self.seconds is not None
        if self._rate_from is None:
            self._rate_from = time.perf_counter(), self.index
            return
        spent, steps = time.perf_counter() - self._rate_from[0], self.index - self._rate_from[1]
        if self.total is None:
            due = spent >= RATE_FRACTION * self.seconds or self.elapsed >= HALF_WAY * self.seconds
        else:
            due = self.elapsed >= HALF_WAY * self.seconds or self.index >= HALF_WAY * self.total
        if due and steps >= RATE_STEPS:
            left = self.seconds - self.elapsed - self.objective.evaluation_seconds(self.field)
            self._fix(left / (spent / steps))

    def _fix(self, more: float) -> None:
        """Plan for so many more steps."""
        self.total = max(self.index, self.index + int(MARGIN * more))
        self._rate_from = None
        self._measurements -= 1

    def state(self) -> dict:
        """Everything besides the weights that continuing needs.

        Plain values, and tensors under "optimizer" and "objective".
        """
        return {
            "index": self.index,
            "total": self.total,
            "seconds": self.seconds,
            "elapsed": self.elapsed,
            "looks": self._measurements,
            "seed": self.seed,
            "guard": self._guard and self._guard.state(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state(),
        }

    def restore(self, state: dict) -> None:
        """Take up where `state` was taken. The field's weights have to be loaded before."""
        self.index, self.total, self.seconds = state["index"], state["total"], state["seconds"]
        self._started = time.perf_counter() - state["elapsed"]
        self._rate_from, self._measurements = None, state.get("looks", 0)
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.restore(state["objective"])
        if self._guard is not None:
            self._guard.restore(state["guard"])
