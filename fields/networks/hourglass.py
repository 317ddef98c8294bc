"""Hourglass blocks: a wide stream that narrow layers add to (after He et al. 2016's bottleneck, turned to MLPs)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.initial import uniform

WIDER = 4  # the stream's width in parts of the narrow layer's


class Hourglass(nn.Module):
    """`h = W x`, then `h + B relu(A h)` for each block with a narrow `A h` of `width` units and a stream of four times that, then a linear
    output: features `[..., inputs]` → `[..., outputs]`. B starts at zero, so every block starts as the identity."""

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        wide = WIDER * width
        self.enter = nn.Linear(inputs, wide)
        self.narrow = nn.ModuleList(nn.Linear(wide, width) for _ in range(blocks))
        self.widen = nn.ModuleList(nn.Linear(width, wide) for _ in range(blocks))
        self.output = nn.Linear(wide, outputs)
        uniform([self.enter], generator, zero_bias=True)
        uniform(self.narrow, generator, gain=6.0, zero_bias=True)
        uniform([self.output], generator, zero_bias=True)
        for layer in self.widen:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        h = self.enter(features)
        for narrow, widen in zip(self.narrow, self.widen):
            h = h + widen(torch.relu(narrow(h)))
        return self.output(h)
