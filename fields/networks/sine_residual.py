"""NeuRBF's decoder: an MLP whose first layer adds sines of itself (Chen et al. 2023, equation 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.rbf import band_frequencies
from fields.networks.mlp import MLP
from fields.ops.mlp import mlp


class SineResidual(MLP):
    """MLP whose first layer is followed by sines instead of ReLU.

        h_1 = z + sin(m z),      z = W_1 x + b_1,      h_l = relu(W_l h_{l-1} + b_l)

    Features `[..., inputs]` → `[..., outputs]`. The frequencies m `[width]` cover `band` (lowest, highest) evenly in
    their logarithm. They are fixed and not stored.
    """

    frequencies: Tensor

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        *,
        band: tuple[float, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__(inputs, width, hidden_layers, outputs, bias=True, generator=generator)
        self.register_buffer("frequencies", band_frequencies(*band, width), persistent=False)
        # The first layer is not followed by a ReLU.
        nn.init.uniform_(self.hidden.first.weight, -(inputs**-0.5), inputs**-0.5, generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        first = self.hidden.first(features)
        biases = [*self.hidden.biases, self.output.bias]
        return mlp(first + torch.sin(first * self.frequencies), self.weights[1:], "relu", biases=biases[1:])
