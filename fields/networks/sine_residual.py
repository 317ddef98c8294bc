"""NeuRBF's decoder: an MLP whose first layer adds sines of itself instead of being cut off at zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.rbf import band_frequencies
from fields.networks.mlp import MLP
from fields.ops.mlp import mlp


class SineResidual(MLP):
    """`h + sin(m h)` after the first layer, m from `band` evenly in the logarithm (Chen et al. 2023, equation 7), then ReLU layers.

    Features `[..., inputs]` → `[..., outputs]`; frequencies are fixed and not stored.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        band: tuple[float, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__(inputs, width, hidden_layers, outputs, bias=True, generator=generator)
        self.register_buffer("frequencies", band_frequencies(*band, width), persistent=False)
        nn.init.uniform_(
            self.hidden[0].weight, -(inputs**-0.5), inputs**-0.5, generator=generator
        )  # (it is not followed by a ReLU)

    def forward(self, features: Tensor) -> Tensor:
        first = self.hidden[0](features)
        return mlp(first + torch.sin(first * self.frequencies), self.weights[1:], "relu", biases=self.biases[1:])
