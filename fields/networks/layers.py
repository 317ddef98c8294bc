"""Linear layers of networks, and how their parameters start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn


class LinearLayers(nn.ModuleList):
    """Module list of `torch.nn.Linear`, whose items have that type."""

    def __init__(self, layers: Iterable[nn.Linear]) -> None:
        super().__init__(layers)

    def __iter__(self) -> Iterator[nn.Linear]:
        return cast("Iterator[nn.Linear]", super().__iter__())

    @property
    def first(self) -> nn.Linear:
        """The layer that is applied first."""
        return next(iter(self))

    @property
    def weights(self) -> list[Tensor]:
        """The matrices `[out, in]`, in the order of the layers."""
        return [layer.weight for layer in self]

    @property
    def biases(self) -> list[Tensor]:
        """The biases `[out]`, in the order of the layers."""
        return [layer.bias for layer in self]


@torch.no_grad()
def initialize_uniform(
    layers: Iterable[nn.Linear | None], generator: torch.Generator, gain: float = 1.0, zero_bias: bool = False
) -> None:
    """Draw the parameters of `layers` in place; None is skipped.

    Weights are drawn from U(±sqrt(gain / inputs)): torch's default with a gain of 1, He et al. (2015) for ReLU with
    6. Biases are drawn from U(±1 / sqrt(inputs)), or are 0 with `zero_bias`.
    """
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
