"""Cache of the teacher's outputs per training step, bounded by a memory budget.

When it is full, steps reuse the cached rays in a cycle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fields.fit.objectives.ray_batches import RayBatch
from fields.ops.packed import Samples


class CachedStep(NamedTuple):
    """The rays of a step and what the teacher gives along them.

    samples: the S samples that light reaches in the teacher.
    teacher_features: its volume features there, `[S, 1 + F]`.
    teacher_colors: its colors there, `[S, 3]`; None if they were not queried.
    edges, weights: if the teacher samples by proposals, the edges `[N, K + 1]` of the samples and the weights between
        them `[N, K]`; else None.
    """

    batch: RayBatch
    samples: Samples
    teacher_features: Tensor
    teacher_colors: Tensor | None
    edges: Tensor | None
    weights: Tensor | None

    @property
    def num_bytes(self) -> int:
        """Memory that the tensors take."""
        tensors = [*self.batch[:6], *self[2:], *vars(self.samples).values()]
        return sum(x.numel() * x.element_size() for x in tensors if isinstance(x, Tensor))


class TeacherCache:
    """Cache of the first steps, up to `budget` bytes.

    Steps draw new rays until the cache is full. With n steps in it, step s then reuses the rays of step s mod n.
    Which rays a step has depends on `state` alone. A resumed distillation queries the teacher again and continues the
    same way.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._steps: dict[int, CachedStep] = {}
        self._rays: list[int] = []  # rays of each step of the first cycle
        self._bytes = 0
        self._length = 0  # steps per cycle; 0 until the cache is full

    def replayed_step(self, step: int, rays: int) -> tuple[int, int]:
        """The step whose rays `step` uses, and their number. `rays`: that number for a step with new rays."""
        first = step % self._length if self._length else step
        return first, self._rays[first] if first < len(self._rays) else rays

    def get(self, step: int) -> CachedStep | None:
        """The cached step, or None if the teacher must be queried."""
        return self._steps.get(step)

    def store(self, step: int, rays: int, cached: CachedStep) -> None:
        """Keep a step that was drawn with this number of rays."""
        self._steps[step] = cached
        if not self._length and step == len(self._rays):
            self._rays.append(rays)
            self._bytes += cached.num_bytes
            if self._bytes >= self.budget:
                self._length = len(self._rays)

    def state(self) -> Tensor:
        """What a checkpoint keeps: the length of the cycle, the bytes in use, and the rays of each step."""
        return torch.tensor([self._length, self._bytes, *self._rays])

    def restore(self, state: Tensor) -> None:
        """Continue from what `state` returned."""
        self._length, self._bytes, *self._rays = state.tolist()
