"""Network of quadratic neurons.

Fan, Xiong, Wang 2020, "Universal Approximation with Quadratic Deep Networks", equation 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.layers import initialize_uniform


class QuadraticLayer(nn.Module):
    """Quadratic layer, `[..., inputs]` → `[..., outputs]`.

        y = (A x + a) * (B x + b) + C x^2

    It starts as the authors' training strategy has it (their section on ReLinear): B = 0, b = 1, C = 0, and A in
    U(±bound). The layer starts as a linear one, and its quadratic parts grow only where they help. Drawn at random,
    deep products explode.
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
    """`hidden_layers` ReLU layers of `width` quadratic neurons, then linear: `[..., inputs]` → `[..., outputs]`."""

    def __init__(
        self, inputs: int, width: int, hidden_layers: int, outputs: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        self.hidden = nn.ModuleList(QuadraticLayer(a, b, (6.0 / a) ** 0.5, generator) for a, b in zip(sizes, sizes[1:]))
        self.output = nn.Linear(width, outputs)
        initialize_uniform([self.output], generator, zero_bias=True)

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.hidden:
            features = torch.relu(layer(features))
        return self.output(features)
