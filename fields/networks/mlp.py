"""The plain multilayer perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.ops.mlp import mlp


class MLP(nn.Module):
    """`hidden_layers` layers of `width` ReLU units, then a linear output.

    Features `[N, inputs]` → `[N, outputs]`. `bias=False` makes the weights interchangeable with
    tiny-cuda-nn's networks, which have none. He-uniform initialisation for the hidden layers (He et al. 2015), as
    torch's `Linear` would be too small by sqrt(6) for ReLU; the output layer keeps torch's default.
    """

    def __init__(
        self, inputs: int, width: int, hidden_layers: int, outputs: int, bias: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        hidden = [nn.Linear(a, b, bias=bias) for a, b in zip(sizes[:-1], sizes[1:])]
        self.hidden = nn.ModuleList(hidden)
        self.output = nn.Linear(width, outputs, bias=bias)
        with torch.no_grad():
            for layer in hidden:
                bound = (6.0 / layer.in_features) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
            bound = (1.0 / width) ** 0.5
            self.output.weight.uniform_(-bound, bound, generator=generator)
            if bias:
                for layer in (*hidden, self.output):
                    bound = (1.0 / layer.in_features) ** 0.5
                    layer.bias.uniform_(-bound, bound, generator=generator)

    @property
    def weights(self) -> list[Tensor]:
        """The matrices `[out, in]`, input side first."""
        return [*(layer.weight for layer in self.hidden), self.output.weight]

    @property
    def biases(self) -> list[Tensor] | None:
        """One `[out]` a matrix, or None."""
        return None if self.output.bias is None else [*(layer.bias for layer in self.hidden), self.output.bias]

    def forward(self, features: Tensor) -> Tensor:
        return mlp(features, self.weights, "relu", biases=self.biases)

    def penultimate(self, features: Tensor) -> Tensor:
        """`[N, width]`: what the output layer sees."""
        return torch.relu(mlp(features, self.weights[:-1], "relu", biases=self.biases and self.biases[:-1]))
