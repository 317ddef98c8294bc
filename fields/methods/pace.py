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

    steps: int
    min_batch: int
    rate_power: float

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


# Networks of ReLU units, for which one rate suits all batches. Kodak's 23 at 384 x 256 pixels, in the time that is its
# part of 30 s for 768 x 512: random features reach 30.1 dB with 2,996 steps of 256 points, 30.8 with 1,742 of 512 and
# 31.1 with 948 of 1,024; CAM 30.1, 30.5, 30.8. (Another photograph, batches of 2,048: a decibel less.)
RELU_PACE = Pace(steps=800, min_batch=512, rate_power=0.0)
# Octaves want more steps: 30.1 dB with 3,600 of 256 points, 30.2 with 2,165 of 512, 29.1 with 1,205 of 1,024 and 26.6
# with 638 of 2,048.
OCTAVES_PACE = Pace(steps=2000, min_batch=256, rate_power=0.0)
# Networks of ReLU units whose matrices Muon updates, which takes a time of its own in each step and wants large
# batches. Kodak's 23 in 30 s: random features reach 25.3 dB with 495 steps of 4,096 points, 31.1 with 337 of 8,192,
# 30.1 with 187 of 16,384, and 29.3 with Adam; CAM 30.6 with 403 of 8,192, 29.4 with 190 of 16,384, and 28.1 with
# Adam; octaves 35.4 with 402 of 8,192 and 33.7 with 341 of 16,384. In 10 s: random features 27.6 and 27.4 with Adam,
# CAM 28.2 and 26.2.
MUON_PACE = Pace(steps=500, min_batch=8192, rate_power=0.0)
# Networks of sines diverge at rates that suit large batches, where the gradients of small ones are noisy. The whole of
# Kodak's 5, 7.4 million points: 27.3 dB with 907 steps of 8,192 at 2.6e-4, 27.2 at 3.5e-4 and 18.0 at 6e-4; 23.9 with
# 1,814 of 4,096 at 2.6e-4. Seven seconds of music: 0.4 dB with 500 of 2,048 at 2.1e-4, 10.2 with 250 of 8,192 at 4e-4.
SINE_PACE = Pace(steps=700, min_batch=1024, rate_power=0.5)
# NSTR, whose decoder has sines behind learned waves. Steps of 2,048 points: Kodak's 23 at 256 x 170 pixels, 300 steps,
# 32.4 dB at 1e-3, 32.0 at 5e-4, 30.1 at 2e-4; Kodak's 5 at 384 x 256, 454 steps, 21.8 at 1e-3, 24.1 at 5e-4, 23.7 at
# 2.5e-4. With steps of 512 points at 1e-3 the whole photograph stays at 15.6 dB.
STATE_PACE = Pace(steps=800, min_batch=2048, rate_power=0.25)
# WIRE of two layers. Kodak's 23 at 256 x 170 pixels, 300 steps of 2,048 points: 29.6 dB at 2e-3, 29.0 at 1e-3. (With
# the three layers of its authors, 181 wide, 16.5 dB at 3e-4, the best of four rates.)
WAVELET_PACE = Pace(steps=4000, min_batch=2048, rate_power=0.5)
# Hash grids on scenes, by the cost of a step of the smallest batch. Lego at 200 x 200 in 60 s: 30.3 dB with 372 steps
# of 131,072 samples, 31.2 with 663 of 65,536 and 31.1 with 1,033 of 32,768; in 120 s 31.8 with 695 of 131,072 and
# 32.5 with 1,206 of 65,536. The fox, without bounds, in 120 s: 27.4 with 898 of 65,536 and with 1,439 of 32,768, 26.7
# with 2,067 of 16,384.
SCENE_PACE = Pace(steps=600, min_batch=1 << 15, rate_power=0.0)
