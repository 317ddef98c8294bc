"""How many steps a fit makes, decided again as its time passes, and what share of its schedule each step has reached.

A decision is a pair: at this step, so many steps were planned in all. The decisions alone determine the schedule, so a
run that replays them makes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# At a decision and at a given step: the number of steps.
Decision = tuple[int, int]


class Plan:
    """The decisions of a fit.

    Progress rises from 0 to 1. After each decision it rises evenly from where it is to 1 at the last step planned. So
    it never falls, and follows the share of the time that is spent if each decision plans for the time that is left.
    """

    def __init__(self, decisions: Iterable[Iterable[int]] = ()) -> None:
        """`decisions`: pairs of a step and a number of steps, in order."""
        self.decisions: list[Decision] = []
        self._reached: list[float] = []
        for step, total in decisions:
            self.decide(step, total)

    @property
    def total(self) -> int | None:
        """Number of steps planned last; None where there is no decision yet."""
        return self.decisions[-1][1] if self.decisions else None

    @property
    def even(self) -> bool:
        """Whether the number of steps was known from the first step on, or is not known."""
        return not self.decisions or (len(self.decisions) == 1 and self.decisions[0][0] == 0)

    def decide(self, step: int, total: int) -> None:
        """Plan for `total` steps, being at `step`."""
        total = max(step, total)
        reached = self.progress(step) if self.decisions else step / total if total else 1.0
        if self.decisions and self.decisions[-1][0] == step:
            self.decisions.pop()
            self._reached.pop()
        self.decisions.append((step, total))
        self._reached.append(reached)

    def progress(self, step: int) -> float:
        """Share of the schedule that is reached at a step, in [0, 1]; 0 before the first decision."""
        index = self._decision_at(step)
        if index is None:
            return 0.0
        (begun, total), reached = self.decisions[index], self._reached[index]
        if step >= total:
            return 1.0
        return reached + (1.0 - reached) * (step - begun) / (total - begun)

    def total_at(self, step: int) -> int | None:
        """Number of steps of an even schedule that has reached at `step` what this one has; None before a decision.

        It is what methods and fields are told, whose schedules are functions of a step and a number of steps.
        """
        index = self._decision_at(step)
        if index is None:
            return None
        if index == 0:
            return max(step, self.decisions[0][1])
        progress = self.progress(step)
        return max(step, round(step / progress)) if progress else self.decisions[index][1]

    def _decision_at(self, step: int) -> int | None:
        """Index of the decision that holds at a step."""
        for index in range(len(self.decisions) - 1, -1, -1):
            if self.decisions[index][0] <= step:
                return index
        return None


class StepCost:
    """Seconds that a step takes, smoothed over the last part of the time.

    `memory`: seconds after which a measurement counts for a third of what it did.
    """

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self.value = math.nan

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return not math.isnan(self.value)

    def measure(self, seconds: float, steps: int) -> None:
        """Take note that so many steps took so long."""
        cost = seconds / steps
        weight = 1.0 - math.exp(-seconds / self.memory) if self.known else 1.0
        self.value = weight * cost + (1.0 - weight) * self.value if self.known else cost
