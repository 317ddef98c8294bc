"""NeRF's perceptron, which sees its input again half way (Mildenhall et al. 2020, appendix A, figure 7)."""

from __future__ import annotations

import torch
from torch import nn

from fields.networks.layers import LinearLayers, initialize_uniform
from fields.networks.native import LinearNetwork
from fields.ops.mlp import ActivationShape


class SkipMLP(LinearNetwork):
    """`hidden_layers` ReLU layers of `width` units and a linear output; one layer in the middle also sees the input.

        h_s = relu(W_s [x, h_{s-1}] + b_s),      h_l = relu(W_l h_{l-1} + b_l) else

    Features `[N, inputs]` → `[N, outputs]`. With 8 layers the output of the fifth hidden layer meets the input, as in
    the paper. He-uniform weights, zero biases.
    """

    def __init__(
        self, inputs: int, width: int, hidden_layers: int, outputs: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.skip = skip_layer(hidden_layers)
        sizes = [inputs, *[width + inputs * (layer == self.skip) for layer in range(1, hidden_layers)]]
        self.hidden = LinearLayers(nn.Linear(size, width) for size in sizes)
        self.output = nn.Linear(width, outputs)
        initialize_uniform(self.hidden, generator, gain=6.0, zero_bias=True)
        initialize_uniform([self.output], generator, zero_bias=True)

    @property
    def activation(self) -> ActivationShape:
        return ActivationShape("relu", skip=self.skip or 0)


def skip_layer(hidden_layers: int) -> int | None:
    """Index from 0 of the hidden layer that sees the input again: 5 of 8 layers. None where there are fewer than 3."""
    return hidden_layers // 2 + 1 if hidden_layers > 2 else None
