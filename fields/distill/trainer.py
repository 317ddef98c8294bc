"""The Trainer of a distillation, a stage after another: they cost differently, so each is timed before the number of steps is fixed."""

from __future__ import annotations

import time

import torch

from fields.fit.trainer import Trainer

# Steps of each stage that are timed, after one that is not.
TIMED = 3


class Distiller(Trainer):
    """`objective` has `available` stages, shallow first, and is in one of them. Each begins with fresh moments: gradients differ by orders of magnitude between
    stages, and Adam would leap, or stand still, until it has forgotten those of the stage before."""

    @property
    def stage(self) -> str:
        return self.objective.stage

    def step(self) -> None:
        available = self.objective.available
        coming = self.objective.stages.of(self.index, self.total, available)
        # (a stage that is over stays so, when there turns out to be time for more steps)
        if available.index(coming) > available.index(self.stage):
            self.objective.enter(coming)
            for tensor in self._moments():
                tensor.zero_()
        super().step()

    def state(self) -> dict:
        return super().state() | {"stage": self.stage}

    def restore(self, state: dict) -> None:
        super().restore(state)
        self.objective.enter(state["stage"])

    def _fix_steps(self) -> None:
        objective = self.objective
        if self.total is not None:
            # The second look is at the last stage alone, which is what is left.
            if self.stage == objective.available[-1]:
                super()._fix_steps()
            return
        entered = objective.stage
        kept = [tensor.clone() for tensor in self._moved()]
        costs = {stage: self._step_seconds(stage) for stage in objective.available}
        with torch.no_grad():
            for tensor, before in zip(self._moved(), kept):
                tensor.copy_(before)
        objective.enter(entered)
        left = self.seconds - self.elapsed - objective.evaluation_seconds(self.field)
        # The shares of the stages do not depend on the number of steps, so a thousand stand for all.
        mean = sum(costs[objective.stages.of(step, 1000, objective.available)] for step in range(1000)) / 1000
        self._fix(left / mean)

    def _step_seconds(self, stage: str) -> float:
        self.objective.enter(stage)
        for step in range(TIMED + 1):
            if step == 1:
                begun = time.perf_counter()
            self._gradients(self.objective.batch(step, self.method.batch, self.seed, self.device))
            self.optimizer.step()
        return (time.perf_counter() - begun) / TIMED

    def _moved(self) -> list[torch.Tensor]:
        return [*(p for group in self.optimizer.param_groups for p in group["params"]), *self._moments()]

    def _moments(self) -> list[torch.Tensor]:
        return [tensor for entry in self.optimizer.state_dict().values() for tensor in entry.values()]
