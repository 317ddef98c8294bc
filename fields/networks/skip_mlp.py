"""NeRF's perceptron: what goes in comes back half way (Mildenhall et al. 2020, appendix A, figure 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
        with torch.no_grad():
            for layer in (*self.hidden, self.output):
                bound = ((1.0 if layer is self.output else 6.0) / layer.in_features) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        x = features
        for index, layer in enumerate(self.hidden):
            x = torch.relu(layer(torch.cat([features, x], dim=-1) if index == self.skip else x))
        return self.output(x)


def skip_layer(hidden_layers: int) -> int | None:
    """The hidden layer (from 0) that sees the input again: the sixth of 8; None where there are fewer than 3."""
    return hidden_layers // 2 + 1 if hidden_layers > 2 else None
