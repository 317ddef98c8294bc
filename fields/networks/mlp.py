"""Multilayer perceptron with ReLU."""

from __future__ import annotations

import torch
from torch import nn

from fields.networks.layers import LinearLayers
from fields.networks.native import LinearNetwork
from fields.ops.mlp import ActivationShape


class MLP(LinearNetwork):
    """`hidden_layers` layers of `width` ReLU units and a linear output layer.

        h_l = relu(W_l h_{l-1} + b_l),      y = W h + b

    Features `[N, inputs]` → `[N, outputs]`. With `bias=False` the weights can be exchanged with tiny-cuda-nn's
    networks, which have no biases. Hidden layers have He-uniform weights (He et al. 2015): torch's default for
    `Linear` would be too small by sqrt(6) for ReLU. The output layer has torch's default.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        *,
        bias: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        self.hidden = LinearLayers(nn.Linear(a, b, bias=bias) for a, b in zip(sizes[:-1], sizes[1:]))
        self.output = nn.Linear(width, outputs, bias=bias)
        with torch.no_grad():
            # All weights are drawn before all biases: seeds give the same networks as in earlier versions.
            for layer in self.hidden:
                bound = (6.0 / layer.in_features) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
            bound = (1.0 / width) ** 0.5
            self.output.weight.uniform_(-bound, bound, generator=generator)
            if bias:
                for layer in (*self.hidden, self.output):
                    bound = (1.0 / layer.in_features) ** 0.5
                    layer.bias.uniform_(-bound, bound, generator=generator)

    @property
    def activation(self) -> ActivationShape:
        return ActivationShape("relu")
