"""Colors that agree best with photographs: robust least squares by conjugate gradients."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.texturing.rows import PixelRows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Rounds of Huber reweighting, and steps of conjugate gradients in each.
HUBER_ROUNDS = 4
STEPS_PER_ROUND = 10
# Huber's threshold in robust standard deviations of the residuals. The usual 1.345 costs 0.1 to 0.2 dB on new views:
# most large residuals come from small errors of the surface, and their mean is the better color.
HUBER_DEVIATIONS = 3.0
# Standard deviation of the residuals that is assumed at least: of quantisation to 8 bits, and of its interpolation.
LEAST_DEVIATION = 1.0 / 255
# Weight of the prior, relative to the median weight of pixels of an unknown, where the residuals have the least
# deviation. It grows with their square: what the surface gets wrong must not be made up for by texels.
PRIOR_WEIGHT = 0.002
MAX_PRIOR_WEIGHT = 0.2
# The same for differences between neighbours.
SMOOTH_WEIGHT = 0.01
# The same for points of a seam in its two charts.
SEAM_WEIGHT = 4.0
# Pixels of which the deviation of residuals is estimated.
DEVIATION_SAMPLES = 200_000


@dataclass
class Regularisation:
    """What is known of the colors beside the pixels.

    laplacian: `[U, U]`: the gradient of half the sum of the squared differences between neighbours.
    ties: `[K, U]`: differences between two looks at one point, which should be zero; None where there are none.
    prior_factor: multiplies the weight of the prior, `[U]`.
    """

    laplacian: csr_matrix
    ties: csr_matrix | None
    prior_factor: np.ndarray

    @property
    def num_ties(self) -> int:
        """Number of pairs of looks."""
        return 0 if self.ties is None else self.ties.shape[0]  # pyright: ignore[reportOptionalSubscript]


@dataclass
class Solution:
    """Colors and how they were found.

    colors: `[U, 3]` float32.
    steps: of conjugate gradients.
    residuals: root mean square of the pixels' residuals, weighted, after each round.
    """

    colors: np.ndarray
    steps: int = 0
    residuals: list[float] = field(default_factory=list)


def solve_colors(
    rows: Sequence[PixelRows],
    prior: np.ndarray,
    known: Regularisation,
    *,
    deadline: float = np.inf,
    progress: ProgressCallback = no_progress,
) -> Solution:
    """The colors `[U, 3]` that minimise the pixels' Huber loss, from a prior `[U, 3]`.

    The sum over pixels of `trust * huber(matrix @ colors - color)`, plus squared differences from the prior, between
    neighbours and across seams. Conjugate gradients, preconditioned by the weight of each unknown's pixels; the Huber
    weights change every ten steps.

    deadline: on the clock of `time.monotonic`; the colors of the last step before it are returned.
    """
    colors = np.ascontiguousarray(prior.T, np.float32)
    start, solution = colors.copy(), Solution(prior)
    slowest = 0.0
    for round_ in range(HUBER_ROUNDS):
        residuals = [block.predicted(colors.T) - block.colors for block in rows]
        scale = _deviation(rows, residuals)
        factors = [block.trust * _huber(residual, scale) for block, residual in zip(rows, residuals)]
        solution.residuals.append(_root_mean_square(rows, residuals))
        del residuals
        system = _System(rows, factors, known, min(PRIOR_WEIGHT * (scale / LEAST_DEVIATION) ** 2, MAX_PRIOR_WEIGHT))
        right = system.right(start)
        step = system.step(colors, right)
        for done in range(STEPS_PER_ROUND):
            began = time.monotonic()
            if began + 1.5 * slowest > deadline:
                break
            next(step)
            slowest = max(slowest, time.monotonic() - began)
            solution.steps += 1
            progress((round_ * STEPS_PER_ROUND + done + 1) / (HUBER_ROUNDS * STEPS_PER_ROUND))
    solution.colors = colors.T
    return solution


class _System:
    """The normal equations of one round, for colors `[3, U]` float32."""

    def __init__(
        self, rows: Sequence[PixelRows], factors: Sequence[np.ndarray], known: Regularisation, prior_weight: float
    ) -> None:
        self.rows, self.factors, self.known = rows, factors, known
        weight = sum(block.matrix.T @ factor for block, factor in zip(rows, factors))
        weight = np.asarray(weight, np.float32)
        typical = float(np.median(weight[weight > 0])) if (weight > 0).any() else 1.0
        self.smooth, self.seam = SMOOTH_WEIGHT * typical, SEAM_WEIGHT * typical
        self.prior = (prior_weight * typical * known.prior_factor).astype(np.float32)
        diagonal = weight + self.prior + 2 * self.smooth * known.laplacian.diagonal()
        if known.ties is not None:
            # Rows of ties have 8 entries with a sum of 2 of their absolute values.
            diagonal = diagonal + 2 * self.seam * (abs(known.ties).T @ np.ones(known.num_ties, np.float32))
        self.inverse = (1 / np.maximum(diagonal, 1e-20)).astype(np.float32)

    def right(self, prior: np.ndarray) -> np.ndarray:
        total = self.prior * prior
        for block, factor in zip(self.rows, self.factors):
            for channel in range(3):
                total[channel] += block.matrix.T @ (factor * block.colors[:, channel])
        return total

    def product(self, values: np.ndarray) -> np.ndarray:
        result = self.prior * values
        for channel in range(3):
            value, to = values[channel], result[channel]
            for block, factor in zip(self.rows, self.factors):
                to += block.matrix.T @ (factor * (block.matrix @ value))
            to += self.smooth * (self.known.laplacian @ value)
            if self.known.ties is not None:
                to += self.seam * (self.known.ties.T @ (self.known.ties @ value))
        return result

    def step(self, colors: np.ndarray, right: np.ndarray):
        """Iterates over steps of conjugate gradients, which change `colors` in place."""
        residual = right - self.product(colors)
        search = self.inverse * residual
        energy = (residual * search).sum(axis=1, dtype=np.float64)
        while True:
            product = self.product(search)
            curvature = (search * product).sum(axis=1, dtype=np.float64)
            rate = np.where(curvature > 0, energy / np.where(curvature > 0, curvature, 1), 0)
            rate = rate.astype(np.float32)[:, None]
            colors += rate * search
            residual -= rate * product
            preconditioned = self.inverse * residual
            last, energy = energy, (residual * preconditioned).sum(axis=1, dtype=np.float64)
            turn = np.where(last > 0, energy / np.where(last > 0, last, 1), 0).astype(np.float32)[:, None]
            search = preconditioned + turn * search
            yield


def grid_laplacian(neighbours: np.ndarray) -> csr_matrix:
    """The Laplacian of unknowns with up to K neighbours each: `[U, K]` int32, -1 where there is none."""
    from scipy.sparse import csr_matrix

    count, width = neighbours.shape
    own = np.arange(count, dtype=np.int32)[:, None]
    some = neighbours >= 0
    columns = np.concatenate([own, np.where(some, neighbours, own)], axis=1)
    data = np.concatenate([some.sum(axis=1, keepdims=True), -1.0 * some], axis=1).astype(np.float32)
    starts = np.arange(0, columns.size + 1, width + 1, dtype=np.int32)
    return csr_matrix((data.reshape(-1), columns.reshape(-1), starts), shape=(count, count))


def _size(residual: np.ndarray) -> np.ndarray:
    """Root mean square of the channels `[N]` of residuals `[N, 3]`."""
    return np.sqrt((residual**2).mean(axis=1))


def _huber(residual: np.ndarray, deviation: float) -> np.ndarray:
    return np.minimum(1, HUBER_DEVIATIONS * deviation / np.maximum(_size(residual), 1e-12)).astype(np.float32)


def _deviation(rows: Sequence[PixelRows], residuals: Sequence[np.ndarray]) -> float:
    """Robust standard deviation of the residuals of trusted pixels, from their median size."""
    stride = max(1, sum(map(len, rows)) // DEVIATION_SAMPLES)
    sizes = np.concatenate([_size(residual[::stride]) for residual in residuals])
    trust = np.concatenate([block.trust[::stride] for block in rows])
    order = np.argsort(sizes)
    total = np.cumsum(trust[order])
    median = sizes[order][np.searchsorted(total, total[-1] / 2)]
    return max(1.4826 * float(median), LEAST_DEVIATION)


def _root_mean_square(rows: Sequence[PixelRows], residuals: Sequence[np.ndarray]) -> float:
    total = sum(float((block.trust * _size(residual) ** 2).sum()) for block, residual in zip(rows, residuals))
    return (total / max(sum(float(block.trust.sum()) for block in rows), 1e-30)) ** 0.5
