"""What a teacher answered, kept within a budget of memory: its steps' rays then come around again."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fields.fit.objectives.radiance import RayBatch
from fields.ops.packed import Samples


class Answer(NamedTuple):
    """Of a step's rays: the samples that light reaches, the teacher's volume feature `[S, F]` and color `[S, 3]` (None: not asked) there. Where it samples
    by proposals, their edges `[N, K + 1]` and the weights between `[N, K]`."""

    batch: RayBatch
    samples: Samples
    taught: Tensor
    colors: Tensor | None
    edges: Tensor | None
    weights: Tensor | None

    @property
    def bytes(self) -> int:
        tensors = [*self.batch[:6], *self[2:], *vars(self.samples).values()]
        return sum(x.numel() * x.element_size() for x in tensors if x is not None)


class Answers:
    """Steps draw new rays until their answers fill `budget` bytes; from then on step s has the rays of step s modulo how many there are.

    Which rays a step has depends on `state` alone, so a resumed distillation, which asks again, takes the same way.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._kept: dict[int, Answer] = {}
        self._rays: list[int] = []  # of each step of the first turn
        self._spent, self._turn = 0, 0  # (0: it goes on)

    def turn(self, step: int, rays: int) -> tuple[int, int]:
        """The step whose rays `step` has, and how many those are; `rays` in the first turn."""
        first = step % self._turn if self._turn else step
        return first, self._rays[first] if first < len(self._rays) else rays

    def get(self, step: int) -> Answer | None:
        return self._kept.get(step)

    def keep(self, step: int, rays: int, answer: Answer) -> None:
        self._kept[step] = answer
        if not self._turn and step == len(self._rays):
            self._rays.append(rays)
            self._spent += answer.bytes
            if self._spent >= self.budget:
                self._turn = len(self._rays)

    def state(self) -> Tensor:
        return torch.tensor([self._turn, self._spent, *self._rays])

    def restore(self, state: Tensor) -> None:
        self._turn, self._spent, *self._rays = state.tolist()
