"""How the batch and the learning rates of a method follow from the time of a fit.

Networks cost the same for each sample, however many are in a step. A short fit then wants many small steps, and rates
that go with them; a long one wants large batches, whose gradients are less noisy. `python -m benchmarks.tuning`
measures the constants.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """A rule for the batch and the learning rates.

    steps: number of steps that a fit should have. The batch is the largest power of two that leaves time for as many.
    min_batch: smallest batch; below it, steps are hardly cheaper.
    rate_power: rates are those of the method's own batch times the ratio of the batches to this power.
    """

    steps: int = 1500
    min_batch: int = 1024
    rate_power: float = 0.5

    def batch(self, largest: int, fixed: float, per_sample: float, seconds: float) -> int:
        """The batch, from `min_batch` to `largest`, for a fit of so many seconds.

        fixed, per_sample: the seconds that a step takes are `fixed` + batch * `per_sample`.
        """
        batch = 1 << (max(1, largest).bit_length() - 1)
        if batch < largest and self._steps(largest, fixed, per_sample, seconds) >= self.steps:
            return largest
        while batch > self.min_batch and self._steps(batch, fixed, per_sample, seconds) < self.steps:
            batch //= 2
        return min(batch, largest)

    def rate_factor(self, batch: int, largest: int) -> float:
        """Factor on the learning rates, for a batch where the method's own one is `largest`."""
        return (batch / largest) ** self.rate_power

    @staticmethod
    def _steps(batch: int, fixed: float, per_sample: float, seconds: float) -> float:
        return seconds / max(fixed + batch * per_sample, 1e-9)
