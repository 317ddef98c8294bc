"""Opening the levels of an encoder one after another, from coarse to fine (Park et al. 2021, "Nerfies", equation 8)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# In the first tenth of the steps their number may still be open, so that nothing opens there, as nothing else changes.
BEGIN = 0.1


def gates(levels: int, share: float) -> Tensor:
    """How far each of `levels` levels is open, `[levels]` from 0 to 1: at `share` 0 the coarsest alone, at 1 all, each by a half cosine."""
    depth = (1.0 + (levels - 1) * share - torch.arange(levels)).clamp(0.0, 1.0)
    return 0.5 - 0.5 * torch.cos(math.pi * depth)


def share_at(step: int, total: int | None, coarse_to_fine: float) -> float:
    """The share at a step where all are to be open by `coarse_to_fine` of the steps."""
    share = 0.0 if total is None else (step / total - BEGIN) / (coarse_to_fine - BEGIN)
    return min(1.0, max(0.0, share))


def opened(features: Tensor, open_levels: Tensor | None) -> Tensor:
    """Features `[..., F]` of as many equal parts as there are levels, each times how far it is open; as they are without gates."""
    if open_levels is None:
        return features
    return (features.unflatten(-1, (len(open_levels), -1)) * open_levels.unsqueeze(-1)).flatten(-2)
