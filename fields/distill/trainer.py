"""The trainer of a distillation, which times each of its stages before it decides on the number of steps."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch

from fields.distill.stages import Stages
from fields.fit.trainer import Trainer

# Steps of each stage that are timed, after one that is not.
TIMED_STEPS = 3
# Steps that stand for all when the mean cost of a step is computed: the stages are fractions of them.
SAMPLED_STEPS = 1000


class Staged(Protocol):
    """What a distillation's objective has besides those of `Objective`."""

    # The stages that this pair of fields has, in order, and the one of the coming step.
    available: tuple[str, ...]
    stage: str
    stages: Stages

    def enter(self, stage: str) -> None:
        """Begin a stage."""
        ...


class Distiller(Trainer):
    """A trainer whose objective goes through stages (`StagedObjective` or `TaughtRadiance`).

    Each stage begins with Adam's moments at zero: gradients differ by orders of magnitude between stages, and with old
    moments Adam would take far too large or small steps until they have decayed.
    """

    @property
    def staged(self) -> Staged:
        """The objective, as an object with stages."""
        objective: Any = self.objective
        return objective

    @property
    def stage(self) -> str:
        return self.staged.stage

    def step(self) -> None:
        available = self.staged.available
        coming = self.staged.stages.stage_of(self.index, self.plan.total_at(self.index), available)
        # A stage that is over stays over, even if there turns out to be time for more steps.
        if available.index(coming) > available.index(self.stage):
            self.staged.enter(coming)
            for tensor in self._moments():
                tensor.zero_()
            self._guard.begin_again()
        super().step()

    def state(self) -> dict:
        return super().state() | {"stage": self.stage}

    def restore(self, state: dict) -> None:
        super().restore(state)
        self.staged.enter(state["stage"])

    def _decide_first(self) -> None:
        objective = self.staged
        entered = objective.stage
        kept = [tensor.clone() for tensor in self._trained_tensors()]
        costs = {stage: self._step_seconds(stage) for stage in objective.available}
        with torch.no_grad():
            for tensor, before in zip(self._trained_tensors(), kept):
                tensor.copy_(before)
        objective.enter(entered)
        steps = range(SAMPLED_STEPS)
        stages = [objective.stages.stage_of(step, SAMPLED_STEPS, objective.available) for step in steps]
        self._cost.value = sum(costs[stage] for stage in stages) / SAMPLED_STEPS
        self._estimate_scoring()
        self._decide(self._steps_left())

    def _decide_again(self) -> None:
        # The mean cost of all stages was planned with. What is measured is that of the last stage, once that is all
        # that is left.
        if self.stage == self.staged.available[-1]:
            super()._decide_again()
        elif self._late():
            self._decide(0.0)
        else:
            self._look_from = time.perf_counter(), self.index

    def _step_seconds(self, stage: str) -> float:
        """Time of a training step of a stage; its weights are changed."""
        self.staged.enter(stage)
        begun = time.perf_counter()
        for step in range(TIMED_STEPS + 1):
            if step == 1:
                begun = time.perf_counter()
            self._gradients(self.objective.batch(step, self.method.batch, self.seed, self.device))
            self.optimizer.step()
        return (time.perf_counter() - begun) / TIMED_STEPS

    def _trained_tensors(self) -> list[torch.Tensor]:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        return [*parameters, *self._moments()]

    def _moments(self) -> list[torch.Tensor]:
        return [tensor for entry in self.optimizer.state_dict().values() for tensor in entry.values()]
