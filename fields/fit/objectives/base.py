"""Objectives: an objective binds a signal to a way of querying a field, a loss and the metrics.

A new kind of signal needs a new objective and an entry in `fields.kinds`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from fields.fit.scoring import ScoredPart, parts_within, scored_part
from fields.methods.base import Method
from fields.models.field import Field, PointField
from scenes.signal import Signal

if TYPE_CHECKING:
    from fields.runs.run import Run

S = TypeVar("S", bound=Signal)
F = TypeVar("F", bound=Field)

# Smallest mean squared error that is told, so that the PSNR stays finite (JSON has no infinity): 120 dB.
MIN_ERROR = 1e-12
# Part of the steps whose batches hold points between samples. After it the samples alone are fitted, with small rates:
# they gain more than what lies between loses.
BETWEEN_UNTIL = 0.6
# How many times larger than the difference previews draw errors.
ERROR_GAIN = 10


def point_loss(name: str, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean loss over all values.

    `name`: "l1", "l2", or "relative_l2" = (p - t)^2 / (p^2 + 0.01), whose divisor gets no gradient. The relative loss
    (Müller et al. 2022, after Lehtinen et al. 2018) weighs dark and bright parts of an HDR image alike.
    `prediction`, `target`: `[N, C]`. `weights`: `[N]`, factors of the samples' losses.
    """
    losses = prediction - target
    if name == "l1":
        losses = losses.abs()
    elif name == "relative_l2":
        losses = losses**2 / (prediction.detach() ** 2 + 0.01)
    else:
        losses = losses**2
    return losses.mean() if weights is None else (losses * weights[:, None]).mean()


class Objective(ABC, Generic[S, F]):
    """What a trainer fits a field to, and how the field is scored and shown; everything that depends on the kind.

    Type parameters: the class of the signal, and of the fields.
    """

    signal: S
    loss_name: str
    # Class of the fields that it can fit.
    requires: type[Field] = PointField
    # Whether the cost of a step changes as the field takes shape.
    step_cost_varies: bool = False
    # What the image of `save_preview` shows, side by side.
    shown: str = "target, fit, error"
    # Whether batches are points and values, to which others can be added.
    takes_points: bool = True
    # Fraction of each batch that lies between samples, on what the signal's filter gives there.
    between: float = 0.0
    # What the last `evaluate` scored, where its time did not suffice for all.
    scored: ScoredPart | None = None

    def __init__(self, signal: S, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        """`gradient_terms`: weights of the parts of the loss that use the field's gradient, by name."""
        self.signal = signal
        self.loss_name = loss
        self.gradient_terms = gradient_terms or {}
        # Part of the steps that is over.
        self._progress = 0.0

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Any, ...]:
        """The tensors of one training step; a pure function of step, count and seed, and of what `before_step` told."""
        between = min(int(self.between * count), count - 1) if self._progress < BETWEEN_UNTIL else 0
        if between:
            lattice = self.signal.lattice
            assert lattice is not None, f"a {self.signal.kind} has nothing between its samples"
            points = lattice.points(step, between, seed)
            # Of a signal with holes there may be fewer points; samples take their place.
            samples = self.signal.batch(step, count - len(points[0]), seed)
            arrays = tuple(map(np.concatenate, zip(samples, points, strict=True)))
        else:
            arrays = self.signal.batch(step, count, seed)
        return tuple(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)

    @property
    def plain(self) -> bool:
        """Whether the loss of the coming step depends on the samples' values alone, as a native step needs it."""
        return not self.gradient_terms

    def parameter_groups(self, method: Method) -> list[dict]:
        """Parameters that the objective trains besides the field's, as `Method.parameter_groups`.

        They are not stored with the field.
        """
        return []

    def before_step(self, field: F, step: int, total: int | None) -> None:
        """Called before each training step. `total` is None while it is not fixed."""
        self._progress = step / total if total else 0.0

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps for this objective, its own parameters included."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""

    def loss(self, field: F, batch: tuple[Any, ...]) -> Tensor:
        """Loss of a batch; differentiable in the field's parameters."""
        assert isinstance(field, PointField)
        coords, values, *weights = batch
        units = torch.tensor(self.signal.channels.error_units, device=coords.device)
        return point_loss(self.loss_name, field(coords) / units, values / units, *weights)

    def constant_loss(self, step: int, count: int, seed: int) -> float | None:
        """Loss of a batch if the field were the mean value everywhere; None for objectives with a loss of their own."""
        if type(self).loss is not Objective.loss:
            return None
        _, values, *weights = self.batch(step, count, seed, torch.device("cpu"))
        values = values / torch.tensor(self.signal.channels.error_units)
        return float(point_loss(self.loss_name, values.mean(0, keepdim=True).expand_as(values), values, *weights))

    def save_sidecar(self, folder: Path) -> None:
        """Write the files about the signal that runs of this kind keep, before the first step."""

    def exclude_training_views(self, run: Run) -> None:
        """Exclude from the scores whatever the run was fitted to, for a signal that shares views with the run's own."""

    def details(self) -> dict:
        """Plain data about the last `evaluate`, which `metrics.json` holds besides the metrics."""
        return {} if self.scored is None else {"scored": self.scored.to_json()}

    def running_quality(self, loss: float) -> tuple[str, float]:
        """Name and value of the quality that people are shown during a fit, from the loss of a training batch."""
        if self.loss_name == "l2":
            return "psnr", -10.0 * math.log10(max(loss, MIN_ERROR))
        return "loss", loss

    @abstractmethod
    def evaluate(self, field: F, seconds: float = math.inf) -> dict[str, float]:
        """Metrics of a field: on what was held out where the signal has such a part, else on the whole signal.

        `seconds`: time that this may take. Where it does not suffice, metrics are computed of a part, which `scored`
        describes, and those that need the whole are left out.
        """

    @abstractmethod
    def evaluation_seconds(self, field: F) -> float:
        """Estimated time of `evaluate`, measured on a part of it."""

    @abstractmethod
    def preview(self, field: F, longest_side: int = 1024) -> np.ndarray:
        """The fit as a person would look at it: `[H, W, 3]` uint8, no side longer than `longest_side`."""

    def target(self, longest_side: int = 1024) -> np.ndarray:
        """The image that `preview` gives of a perfect fit, of the same size: `[H, W, 3]` uint8."""
        return self.signal.preview(longest_side)

    @abstractmethod
    def save_preview(self, field: F, path: Path) -> None:
        """Write a PNG that shows what `shown` says."""


def predict(field: PointField, coords: np.ndarray) -> np.ndarray:
    """Values `[N, C]` of a field at `coords` `[N, D]` in [0, 1], as an array."""
    with torch.no_grad():
        return field(torch.from_numpy(coords).to(field.device)).cpu().numpy()


def held_out_values(
    field: PointField, samples: Iterable[tuple[np.ndarray, np.ndarray]], seconds: float = math.inf
) -> tuple[np.ndarray, np.ndarray, ScoredPart | None]:
    """Values of a field and of the signal, both `[N, C]`, at held-out samples: pairs of coords and values.

    And the part of the samples that they are, where `seconds` did not suffice for all.
    """
    held_out = list(samples)
    chosen = []
    for index in parts_within(len(held_out), seconds):
        coords, values = held_out[index]
        chosen.append((index, predict(field, coords), values))
    chosen.sort(key=lambda part: part[0])
    prediction, target = (np.concatenate([part[i] for part in chosen]) for i in (1, 2))
    return prediction, target, scored_part(len(target), sum(len(v) for _, v in held_out), "held-out samples")
