"""Learned exposure of photographs: a brightness per view and channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Weight of the mean square of the logarithms, which keeps their mean near zero.
PENALTY = 1e-2


class Exposure:
    """Factors on the rendered colors of each training view, one per channel, trained with the field but not stored.

    log_gains: logarithms of the factors, `[V, 3]`.
    """

    def __init__(self, num_views: int) -> None:
        self.log_gains = nn.Parameter(torch.zeros(num_views, 3))

    def apply(self, colors: Tensor, views: Tensor) -> Tensor:
        """Colors `[N, 3]` as the views with these indices `[N]` expose them."""
        return colors * torch.exp(self.log_gains.to(colors.device)[views])

    def penalty(self) -> Tensor:
        """Term of the loss that keeps exposures near 1."""
        return PENALTY * self.log_gains.square().mean()
