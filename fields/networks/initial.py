"""How the layers of networks begin."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


@torch.no_grad()
def uniform(
    layers: Iterable[nn.Linear | None], generator: torch.Generator, gain: float = 1.0, zero_bias: bool = False
) -> None:
    """Weights U(±sqrt(gain / inputs)): with a gain of 1 torch's default, with 6 He et al. (2015) for ReLU. Biases U(±1 / sqrt(inputs)), or 0. None is passed over."""
    for layer in layers:
        if layer is None:
            continue
        bound = (gain / layer.in_features) ** 0.5
        layer.weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            if zero_bias:
                layer.bias.zero_()
            else:
                bound = layer.in_features**-0.5
                layer.bias.uniform_(-bound, bound, generator=generator)
