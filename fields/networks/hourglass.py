"""Hourglass network: a wide residual stream with narrow blocks (the bottleneck of He et al. 2016, for MLPs)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.layers import LinearLayers, initialize_uniform

# Width of the stream in units of the width of the narrow layers.
STREAM_FACTOR = 4


class Hourglass(nn.Module):
    """Wide stream to which each block adds the output of a narrow layer, then a linear output layer.

        h_0 = W x,      h_l = h_{l-1} + B_l relu(A_l h_{l-1})

    Features `[..., inputs]` → `[..., outputs]`. `A h` has `width` units and the stream four times as many. B starts
    at zero, so that every block starts as the identity.
    """

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int, *, generator: torch.Generator) -> None:
        super().__init__()
        stream = STREAM_FACTOR * width
        self.enter = nn.Linear(inputs, stream)
        self.narrow = LinearLayers(nn.Linear(stream, width) for _ in range(blocks))
        self.widen = LinearLayers(nn.Linear(width, stream) for _ in range(blocks))
        self.output = nn.Linear(stream, outputs)
        initialize_uniform([self.enter], generator, zero_bias=True)
        initialize_uniform(self.narrow, generator, gain=6.0, zero_bias=True)
        initialize_uniform([self.output], generator, zero_bias=True)
        for layer in self.widen:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        h = self.enter(features)
        for narrow, widen in zip(self.narrow, self.widen):
            h = h + widen(torch.relu(narrow(h)))
        return self.output(h)
