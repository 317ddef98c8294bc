"""NeRF's perceptron: what goes in comes back half way (Mildenhall et al. 2020, appendix A, figure 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.initial import uniform
from fields.ops.mlp import mlp


class SkipMLP(nn.Module):
    """`hidden_layers` ReLU layers of `width` units; the layer in the middle also sees the input; linear output.

    Features `[N, inputs]` → `[N, outputs]`. With 8 layers the fifth hidden layer's result meets the input, as in the paper.
    He-uniform weights, zero biases.
    """

    def __init__(self, inputs: int, width: int, hidden_layers: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.skip = skip_layer(hidden_layers)
        sizes = [inputs, *[width + inputs * (layer == self.skip) for layer in range(1, hidden_layers)]]
        self.hidden = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.output = nn.Linear(width, outputs)
        uniform(self.hidden, generator, gain=6.0, zero_bias=True)
        uniform([self.output], generator, zero_bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return self._through([*self.hidden, self.output], features)

    def penultimate(self, features: Tensor) -> Tensor:
        """`[N, width]`: what the output layer sees."""
        return torch.relu(self._through(list(self.hidden), features))

    def _through(self, layers: list[nn.Linear], features: Tensor) -> Tensor:
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        if self.skip is None:
            return mlp(features, weights, "relu", biases=biases)
        below = mlp(features, weights[: self.skip], "relu", biases=biases[: self.skip])
        return mlp(
            torch.cat([features, torch.relu(below)], dim=-1), weights[self.skip :], "relu", biases=biases[self.skip :]
        )


def skip_layer(hidden_layers: int) -> int | None:
    """The hidden layer (from 0) that sees the input again: the sixth of 8; None where there are fewer than 3."""
    return hidden_layers // 2 + 1 if hidden_layers > 2 else None
