"""Network of quadratic neurons.

Fan, Xiong, Wang 2020, "Universal Approximation with Quadratic Deep Networks", equation 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from fields.networks.layers import initialize_uniform
from fields.networks.native import NativeNetwork, Step, StepOptions
from fields.ops.mlp import ActivationShape


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

    @property
    def rows(self) -> Tensor:
        """The rows of A, then of B, then of C: `[3 outputs, inputs]`."""
        return torch.cat([self.linear.weight, self.factor.weight, self.squares.weight])

    @property
    def row_biases(self) -> Tensor:
        """The biases a and b, and zeros for C: `[3 outputs]`."""
        return torch.cat([self.linear.bias, self.factor.bias, torch.zeros_like(self.linear.bias)])


class Quadratic(NativeNetwork):
    """`hidden_layers` ReLU layers of `width` quadratic neurons, then linear: `[..., inputs]` → `[..., outputs]`."""

    def __init__(
        self, inputs: int, width: int, hidden_layers: int, outputs: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        self.hidden = nn.ModuleList(QuadraticLayer(a, b, (6.0 / a) ** 0.5, generator) for a, b in zip(sizes, sizes[1:]))
        self.output = nn.Linear(width, outputs)
        initialize_uniform([self.output], generator, zero_bias=True)

    def _layers(self) -> Iterator[QuadraticLayer]:
        return cast("Iterator[QuadraticLayer]", iter(self.hidden))

    @property
    def weights(self) -> list[Tensor]:
        return [*(layer.rows for layer in self._layers()), self.output.weight]

    @property
    def biases(self) -> list[Tensor]:
        return [*(layer.row_biases for layer in self._layers()), self.output.bias]

    @property
    def activation(self) -> ActivationShape:
        return ActivationShape("quadratic")

    def penultimate(self, features: Tensor) -> Tensor:
        """Input of the output layer: `[N, inputs]` → `[N, width]`."""
        for layer in self.hidden:
            features = torch.relu(layer(features))
        return features

    def training_step(self, options: StepOptions) -> Step | None:
        return self.step_through_weights(options)
