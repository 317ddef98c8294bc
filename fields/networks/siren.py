"""SIREN: an MLP of sines (Sitzmann et al. 2020, "Implicit Neural Representations with Periodic Activation Functions")."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Siren(nn.Module):
    """`h_l = sin(omega_l (W_l h_{l-1} + b_l))`, linear output (equation 1 and section 3.2).

    Coordinates `[N, D]` in [-1, 1] → `[N, outputs]`. The bias is multiplied by omega too, as in the popular code:
    omegas of the other convention (`sin(W (omega x) + b)`, FreSh's code) are not comparable with these.
    """

    def __init__(self, inputs: int, width: int, hidden_layers: int, outputs: int, first_omega: float,
                 hidden_omega: float, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
        self.output = nn.Linear(width, outputs)
        self.first_omega = first_omega
        self.hidden_omega = hidden_omega
        with torch.no_grad():
            for index, layer in enumerate((*self.hidden, self.output)):
                fan_in = layer.in_features
                # First layer U(-1/d, 1/d); the others U(±sqrt(6/fan_in)/omega), which keeps pre-activations near N(0, 1).
                bound = 1.0 / fan_in if index == 0 else math.sqrt(6.0 / fan_in) / hidden_omega
                layer.weight.uniform_(-bound, bound, generator=generator)
                bound = 1.0 / math.sqrt(fan_in)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, coords: Tensor) -> Tensor:
        omega = self.first_omega
        for layer in self.hidden:
            coords = torch.sin(omega * layer(coords))
            omega = self.hidden_omega
        return self.output(coords)
