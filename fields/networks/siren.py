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

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        first_omega: float,
        hidden_omega: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.hidden, self.output = sine_layers(inputs, width, hidden_layers, outputs, hidden_omega, generator)
        self.first_omega = first_omega
        self.hidden_omega = hidden_omega

    def forward(self, coords: Tensor) -> Tensor:
        omega = self.first_omega
        for layer in self.hidden:
            coords = torch.sin(omega * layer(coords))
            omega = self.hidden_omega
        return self.output(coords)


def sine_layers(
    inputs: int, width: int, hidden_layers: int, outputs: int, hidden_omega: float, generator: torch.Generator
) -> tuple[nn.ModuleList, nn.Linear]:
    """The hidden layers and the output layer of a network of sines, initialised as in section 3.2.

    First layer U(-1/d, 1/d); the others U(±sqrt(6/fan_in)/omega), which keeps what goes into a sine near N(0, 1).
    """
    sizes = [inputs, *[width] * hidden_layers]
    hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
    output = nn.Linear(width, outputs)
    with torch.no_grad():
        for index, layer in enumerate((*hidden, output)):
            fan_in = layer.in_features
            bound = 1.0 / fan_in if index == 0 else math.sqrt(6.0 / fan_in) / hidden_omega
            layer.weight.uniform_(-bound, bound, generator=generator)
            bound = 1.0 / math.sqrt(fan_in)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return hidden, output
