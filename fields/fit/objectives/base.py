"""An objective binds a signal to a way of querying a field, a loss and the metrics.

A new kind of signal is a new Objective and nothing else.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fields.methods.base import Method
from fields.models.field import Field, PointField
from scenes.signal import Signal

if TYPE_CHECKING:
    from fields.runs.run import Run


def point_loss(name: str, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all values: "l1", "l2", or "relative_l2" = (p - t)^2 / (p^2 + 0.01) with the divisor held constant.

    The relative loss (Müller et al. 2022, after Lehtinen et al. 2018) weighs dark and bright parts of an HDR alike.
    `weights` `[N]` multiply the losses of each sample before the mean.
    """
    losses = prediction - target
    if name == "l1":
        losses = losses.abs()
    elif name == "relative_l2":
        losses = losses**2 / (prediction.detach() ** 2 + 0.01)
    else:
        losses = losses**2
    return losses.mean() if weights is None else (losses * weights[:, None]).mean()


class Objective(ABC):
    """What the Trainer drives; everything that depends on the kind of signal is here."""

    signal: Signal
    loss_name: str
    requires: type[Field] = PointField
    # Whether steps change their cost as the field takes shape.
    step_cost_varies: bool = False
    # What `save_preview` puts side by side.
    shown: str = "target, fit, error"

    def __init__(self, signal: Signal, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        self.signal = signal
        self.loss_name = loss
        self.gradient_terms = gradient_terms or {}

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        """The tensors of one training step; a pure function of step, count and seed."""
        arrays = self.signal.batch(step, count, seed)
        return tuple(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)

    @property
    def plain(self) -> bool:
        """Whether the coming step's loss is that of the samples' values alone, so that a native step may take it."""
        return not self.gradient_terms

    def parameter_groups(self, method: Method) -> list[dict]:
        """What the objective itself trains beside the field, as `Method.parameter_groups`; it is not stored with the field."""
        return []

    def before_step(self, field: Field, step: int, total: int | None) -> None:
        """Called before each training step (`total` is None while it is open)."""

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint holds for this objective, its own parameters included."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Takes up what `state` gave."""

    def loss(self, field: Field, batch: tuple[Tensor, ...]) -> Tensor:
        coords, values, *weights = batch
        units = torch.tensor(self.signal.channels.error_units, device=coords.device)
        return point_loss(self.loss_name, field(coords) / units, values / units, *weights)

    def constant_loss(self, step: int, count: int, seed: int) -> float | None:
        """The loss of a batch if the field were the mean value everywhere; None where that says nothing (a loss of its own)."""
        if type(self).loss is not Objective.loss:
            return None
        _, values, *weights = self.batch(step, count, seed, torch.device("cpu"))
        values = values / torch.tensor(self.signal.channels.error_units)
        return float(point_loss(self.loss_name, values.mean(0, keepdim=True).expand_as(values), values, *weights))

    def save_sidecar(self, folder: Path) -> None:
        """Writes what a run of this kind keeps of the signal, into its folder, before the first step."""

    def exclude_training_views(self, run: Run) -> None:
        """Leaves out, of another signal than a run was fitted to, what that run was fitted to all the same."""

    def details(self) -> dict:
        """What `metrics.json` holds beside the metrics of the last `evaluate`: plain data."""
        return {}

    def running_quality(self, loss: float) -> tuple[str, float]:
        """What a person is shown while it fits: a name and a number, from the loss of a training batch."""
        if self.loss_name == "l2":
            return "psnr", -10.0 * math.log10(max(loss, 1e-12))
        return "loss", loss

    @abstractmethod
    def evaluate(self, field: Field) -> dict[str, float]:
        """The metrics of the signal, on what was held out where there is such a part, else on the whole."""

    @abstractmethod
    def evaluation_seconds(self, field: Field) -> float:
        """About how long `evaluate` will take, measured on a part."""

    @abstractmethod
    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        """The fit as a person would look at it: `[H, W, 3]` uint8, no side longer than that."""

    def target(self, longest_side: int = 1024) -> np.ndarray:
        """What `preview` would show of a perfect fit: as large, `[H, W, 3]` uint8."""
        return self.signal.preview(longest_side)

    @abstractmethod
    def save_preview(self, field: Field, path: Path) -> None:
        """A PNG for people: what `shown` names."""
