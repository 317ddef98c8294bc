"""The Trainer of a distillation: stages cost differently, so each is timed before the number of steps is fixed."""

from __future__ import annotations

import time

import torch

from fields.fit.trainer import MARGIN, Trainer

# Steps of each stage that are timed, after one that is not.
TIMED = 3


class Distiller(Trainer):
    def _fix_steps(self) -> None:
        objective = self.objective
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
        self.total = max(self.index, self.index + int(MARGIN * left / mean))

    def _step_seconds(self, stage: str) -> float:
        self.objective.enter(stage)
        for step in range(TIMED + 1):
            if step == 1:
                begun = time.perf_counter()
            self._gradients(self.objective.batch(step, self.method.batch, self.seed, self.device))
            self.optimizer.step()
        return (time.perf_counter() - begun) / TIMED

    def _moved(self) -> list[torch.Tensor]:
        moments = [tensor for entry in self.optimizer.state_dict().values() for tensor in entry.values()]
        return [*(p for group in self.optimizer.param_groups for p in group["params"]), *moments]
