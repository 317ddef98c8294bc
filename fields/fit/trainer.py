"""The training loop, and how a time budget becomes a number of steps.

With a time budget, the cost of a step is measured over the first steps and throughout the run, and the number of steps
is decided again whenever it changes (`fields.fit.plan`). The decisions drive the schedule, and a run keeps them, so
that it can be repeated step by step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch

from fields.fit.guard import DivergenceGuard, RestartingGuard
from fields.fit.objectives.base import Objective
from fields.fit.plan import Plan, StepCost
from fields.fit.prune import PRUNE_AT, Pruner
from fields.methods.base import Method
from fields.models.field import Field
from fields.ops.adam import Adam
from fields.runs.storage import StraightThrough
from scenes.errors import BadInput

# Steps over which their cost is measured before the first decision, at least, after the first one, which is slower.
RATE_STEPS = 4
# Fraction of the time budget over which it is measured then, at least, and at most if there are few steps.
RATE_FRACTION = 0.08
MAX_RATE_FRACTION = 0.5
# Fraction of the time budget from one look at the cost of a step to the next, and over which the cost is smoothed.
LOOK_FRACTION = 0.01
SMOOTH_FRACTION = 0.04
# Smallest change of the number of steps that are left for which a new decision is made.
DECISIVE = 0.02
# Fractions of the time after which the time of the evaluation is estimated again, as the field has taken shape, and the
# factor by which steps have become slower or faster since, from which on it is estimated again because of the load.
ESTIMATE_AGAIN = (0.5, 0.85)
OTHER_LOAD = 1.4
# Fraction of the time budget that is left free, as the last steps may be slower, and weights are copied.
MARGIN = 0.005
# Fraction of the time budget that the evaluation may take, up to so many seconds, and above them. Metrics that take
# longer are computed of a part: a tenth of the pixels tells as much, and training gains from the time.
SCORING_FRACTION, SCORING_SECONDS = 0.3, 5.0
LONG_SCORING_FRACTION = 0.1
# Part of the budget, and seconds, by which an evaluation may pass the end of the budget; the larger one counts.
LATE_FRACTION = 0.03
LATE_SECONDS = 0.6


class Trainer:
    """Fit a field to an objective with the recipe of a method.

    `steps`, `seconds`: the budget; exactly one is given.
    `seed`: of the batches.
    `bits`: bits per stored weight; below 32, training uses rounded weights (`fields.runs.storage`).
    `keep_fraction`: fraction of the weights to keep (`fields.fit.prune`).
    `plan`: decisions of an earlier run that are to be repeated, together with its `steps` (`fields.fit.plan`).
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
        plan: Iterable[Iterable[int]] = (),
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
        self.plan = Plan(plan or ([] if steps is None else [(0, steps)]))
        self.seconds = seconds
        self.index = 0
        self.stopped = False
        self.callbacks = list(callbacks)
        self.device = next(field.parameters()).device
        self.optimizer = Adam(method.field_groups(field) + objective.parameter_groups(method))
        self._fused = field.fused_step(objective.loss_name)
        self._base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._started = time.perf_counter() if started is None else started
        self._cost = StepCost(SMOOTH_FRACTION * (seconds or 1.0))
        # Time and step from which the cost of a step is measured.
        self._look_from: tuple[float, int] | None = None
        # Estimated time of the evaluation, the cost of a step at that time, and how many of `ESTIMATE_AGAIN` are over.
        self._scoring: tuple[float, float] | None = None
        self._estimates = 0
        self._loss = torch.tensor(math.nan)
        self._rounding = StraightThrough(field, bits) if bits != 32 else nullcontext()
        self._guard = RestartingGuard() if method.guarded else DivergenceGuard()
        self._pruner: Pruner | None = None

    @property
    def elapsed(self) -> float:
        """Seconds of the budget that are spent, including those before the run was resumed."""
        return time.perf_counter() - self._started

    @property
    def total(self) -> int | None:
        """Number of steps that are planned; None while it is not known."""
        return self.plan.total

    @property
    def loss(self) -> float:
        """Loss of the batch of the last step."""
        return float(self._loss)

    @property
    def remarks(self) -> list[str]:
        """What people should know of the training, in sentences."""
        return self._guard.remarks

    @property
    def fused(self) -> bool:
        """Whether the coming step is a native one."""
        return self._fused is not None and self.objective.plain

    @property
    def matmul_dtype(self) -> str:
        """Type of the factors of matrix products in training steps, until the last part of the training."""
        return self.field.training_dtype

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
        total = self.plan.total_at(self.index)
        factor = self.method.rate_factor(self.index, total) * self._guard.rate
        for group, rate in zip(self.optimizer.param_groups, self._base_rates):
            group["lr"] = rate * factor
        if self.keep_fraction < 1 and self._pruner is None and total is not None and self.index >= PRUNE_AT * total:
            self._pruner = Pruner(self.field, self.keep_fraction)
            self._guard.begin_again()
        self.field.before_step(self.index, total)
        self.objective.before_step(self.field, self.index, total)
        batch = self.objective.batch(self.index, self.method.batch, self.seed, self.device)
        with self._rounding:
            self._gradients(batch)
        self.optimizer.step()
        if self._pruner is not None:
            self._pruner()
        self.index += 1
        self._guard.watch(self, self._loss)

    def _gradients(self, batch: tuple[torch.Tensor, ...]) -> None:
        if self._fused is not None and self.objective.plain:
            self._loss = self._fused(*batch)
        else:
            self.optimizer.zero_grad()
            with self.field.training_precision():
                loss = self.objective.loss(self.field, batch)
                penalty = self.field.regularisation()
                (loss if penalty is None else loss + penalty).backward()
            self._loss = loss.detach()

    def run(self) -> None:
        """Train until the budget is spent or `stop` is called. Raises BadInput where lower rates do not help a fit."""
        begun = self.index
        while not (self.stopped or self.done):
            self.step()
            for callback in self.callbacks:
                callback(self)
            if self.seconds is not None and not self.stopped:
                self._look()
        # A run that was killed after its last checkpoint has no step left, and no loss.
        if self.index > begun:
            self._guard.check_end(self)

    def stop(self) -> None:
        """End `run` after the current step. May be called from a callback, a signal handler or another thread."""
        self.stopped = True

    def exclude_time(self, seconds: float) -> None:
        """Exclude time from the measured cost of steps: for callbacks whose work took long and is rare."""
        if self._look_from is not None:
            self._look_from = self._look_from[0] + seconds, self._look_from[1]

    # Planning

    def _look(self) -> None:
        """Decide on the number of steps, where it is time for that."""
        assert self.seconds is not None
        if self._look_from is None:
            self._look_from = time.perf_counter(), self.index
            if self._late():
                self._decide(0.0)
        elif self.total is None:
            self._decide_first()
        else:
            self._decide_again()

    def _decide_first(self) -> None:
        """The first decision, once the cost of a step has been measured long enough."""
        assert self.seconds is not None
        spent, steps = self._since_look()
        enough = spent >= RATE_FRACTION * self.seconds or self.elapsed >= MAX_RATE_FRACTION * self.seconds
        if (enough and steps >= RATE_STEPS) or self._late():
            self._cost.measure(spent, steps)
            self._estimate_scoring()
            self._decide(self._steps_left())

    def _decide_again(self) -> None:
        """A new decision, where the steps have become slower or faster, or the time is over."""
        assert self.seconds is not None and self.total is not None
        spent, steps = self._since_look()
        left = self.total - self.index
        # The looks come closer towards the end, as it is to be met.
        if not (spent >= LOOK_FRACTION * self.seconds or steps >= left or self._late()):
            return
        self._cost.measure(spent, steps)
        due = sum(self.elapsed >= fraction * self.seconds for fraction in ESTIMATE_AGAIN)
        if self._scoring is None or due > self._estimates or self._load_is_another():
            self._estimates = due
            self._estimate_scoring()
        self._look_from = time.perf_counter(), self.index
        more = 0.0 if self._late() else self._steps_left()
        if abs(more - left) > max(DECISIVE * left, 0.5):
            self._decide(more)

    def _since_look(self) -> tuple[float, int]:
        """Seconds and steps since the last look."""
        assert self._look_from is not None
        return time.perf_counter() - self._look_from[0], self.index - self._look_from[1]

    def _late(self) -> bool:
        """Whether no time is left for a step."""
        return self._seconds_left() <= 0.5 * (self._cost.value if self._cost.known else 0.0)

    def _load_is_another(self) -> bool:
        """Whether steps take another time than when that of the evaluation was estimated."""
        assert self._scoring is not None
        ratio = self._cost.value / self._scoring[1]
        return not 1 / OTHER_LOAD < ratio < OTHER_LOAD

    def _seconds_left(self) -> float:
        """Time that is left for training."""
        assert self.seconds is not None
        most = max(min(SCORING_FRACTION * self.seconds, SCORING_SECONDS), LONG_SCORING_FRACTION * self.seconds)
        reserved = 0.0 if self._scoring is None else min(self._scoring[0], most)
        return (1.0 - MARGIN) * self.seconds - self.elapsed - reserved

    def _steps_left(self) -> float:
        """Number of steps for which there is time."""
        return max(0.0, self._seconds_left() / self._cost.value)

    def _estimate_scoring(self) -> None:
        """Estimate the time of the evaluation, which is kept free."""
        self._scoring = self.objective.evaluation_seconds(self.field), self._cost.value

    def _decide(self, more: float) -> None:
        """Plan for so many more steps."""
        self.plan.decide(self.index, self.index + int(more))
        self._look_from = time.perf_counter(), self.index

    @property
    def scoring_seconds(self) -> float:
        """Time that the evaluation may take: what is left of the budget; infinite where the budget is in steps."""
        if self.seconds is None:
            return math.inf
        return max(0.0, self.seconds - self.elapsed) + max(LATE_FRACTION * self.seconds, LATE_SECONDS)

    def state(self) -> dict:
        """Everything besides the weights that continuing needs.

        Plain values, and tensors under "optimizer" and "objective".
        """
        return {
            "index": self.index,
            "total": self.total,
            "seconds": self.seconds,
            "elapsed": self.elapsed,
            "plan": self.plan.decisions,
            "seed": self.seed,
            "guard": self._guard.state(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state(),
        }

    def restore(self, state: dict) -> None:
        """Take up where `state` was taken. The field's weights have to be loaded before."""
        self.index, self.seconds = state["index"], state["seconds"]
        # Older checkpoints hold the number of steps alone, which was fixed at the beginning.
        self.plan = Plan(state.get("plan") or ([] if state["total"] is None else [(0, state["total"])]))
        self._started = time.perf_counter() - state["elapsed"]
        self._look_from = None
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.restore(state["objective"])
        if state.get("guard"):
            self._guard.restore(state["guard"])
