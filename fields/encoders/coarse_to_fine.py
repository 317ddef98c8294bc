"""Coarse-to-fine schedule: fade in the levels of an encoder in turn (Park et al. 2021, "Nerfies", equation 8)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Fraction of the steps before which only the coarsest level is used. The trainer may still be measuring how many steps
# the time allows, and nothing that it does before that may depend on their number.
START = 0.1


def level_weights(levels: int, progress: float) -> Tensor:
    """Weight of each level at `progress` of the schedule: `[levels]` float32 in [0, 1], coarsest level first.

    At progress 0 the coarsest level alone has the weight 1, at progress 1 all have. Each level fades in along half a
    cosine.
    """
    depth = (1.0 + (levels - 1) * progress - torch.arange(levels)).clamp(0.0, 1.0)
    return 0.5 - 0.5 * torch.cos(math.pi * depth)


def schedule_progress(step: int, total: int | None, end: float) -> float:
    """Progress of the schedule in [0, 1] at `step` of `total`.

    `total` is None while the number of steps is unknown: the progress is then 0. `end` is the fraction of the steps at
    which all levels have their full weight.
    """
    progress = 0.0 if total is None else (step / total - START) / (end - START)
    return min(1.0, max(0.0, progress))


def weigh_levels(features: Tensor, weights: Tensor | None) -> Tensor:
    """Multiply the features of each level with its weight.

    `features` `[..., F]` are as many equal parts as there are `weights`, `[levels]` or `[..., levels]`. Without weights
    they are returned as they are.
    """
    if weights is None:
        return features
    return (features.unflatten(-1, (weights.shape[-1], -1)) * weights.unsqueeze(-1)).flatten(-2)
