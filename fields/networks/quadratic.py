"""Quadratic neurons (Fan, Xiong, Wang 2020, "Universal Approximation with Quadratic Deep Networks", equation 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.initial import uniform


class QuadraticLayer(nn.Module):
    """`(A x + a) (B x + b) + C x^2`, `[..., inputs]` → `[..., outputs]`.

    The safe start of the authors' training strategy (their section on ReLinear): B = 0, b = 1, C = 0, so that a layer starts as the linear one
    and its quadratic parts grow only where they help; drawn at random, deep products explode.
    """

    def __init__(self, inputs: int, outputs: int, bound: float, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.factor = nn.Linear(inputs, outputs)
        self.squares = nn.Linear(inputs, outputs, bias=False)
        with torch.no_grad():
            self.linear.weight.uniform_(-bound, bound, generator=generator)
            self.linear.bias.zero_()
            self.factor.weight.zero_()
            self.factor.bias.fill_(1.0)
            self.squares.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factor(x) + self.squares(x * x)


class Quadratic(nn.Module):
    """`hidden_layers` ReLU layers of `width` quadratic neurons, then a linear output: features `[..., inputs]` → `[..., outputs]`."""

    def __init__(self, inputs: int, width: int, hidden_layers: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        self.hidden = nn.ModuleList(QuadraticLayer(a, b, (6.0 / a) ** 0.5, generator) for a, b in zip(sizes, sizes[1:]))
        self.output = nn.Linear(width, outputs)
        uniform([self.output], generator, zero_bias=True)

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.hidden:
            features = torch.relu(layer(features))
        return self.output(features)
