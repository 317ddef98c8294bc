"""SIREN: an MLP of sines.

Sitzmann et al. 2020, "Implicit Neural Representations with Periodic Activation Functions".
"""

from __future__ import annotations

import math

import torch
from torch import nn

from fields.networks.layers import LinearLayers
from fields.networks.native import LinearNetwork
from fields.ops.mlp import ActivationShape


class Siren(LinearNetwork):
    """MLP of sines with a linear output layer (equation 1 and section 3.2).

        h_l = sin(omega_l (W_l h_{l-1} + b_l))

    Coordinates `[N, D]` in [-1, 1] → `[N, outputs]`. The bias is multiplied by omega too, as in most implementations:
    values of omega for the other convention, `sin(W (omega x) + b)` as in FreSh's code, cannot be compared with
    these.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        *,
        first_omega: float,
        hidden_omega: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.hidden, self.output = sine_layers(
            inputs, width, hidden_layers, outputs, hidden_omega=hidden_omega, generator=generator
        )
        self.first_omega = first_omega
        self.hidden_omega = hidden_omega

    @property
    def activation(self) -> ActivationShape:
        return ActivationShape("sine", omega=self.hidden_omega, first_omega=self.first_omega)


def sine_layers(
    inputs: int,
    width: int,
    hidden_layers: int,
    outputs: int,
    *,
    hidden_omega: float,
    generator: torch.Generator,
) -> tuple[LinearLayers, nn.Linear]:
    """Hidden layers and output layer of a network of sines, initialized as in SIREN's section 3.2.

    The first layer is drawn from U(-1/d, 1/d), the others from U(±sqrt(6/fan_in)/omega), which keeps the argument of
    the sines near N(0, 1).
    """
    sizes = [inputs, *[width] * hidden_layers]
    hidden = LinearLayers(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
    output = nn.Linear(width, outputs)
    with torch.no_grad():
        for index, layer in enumerate((*hidden, output)):
            fan_in = layer.in_features
            bound = 1.0 / fan_in if index == 0 else math.sqrt(6.0 / fan_in) / hidden_omega
            layer.weight.uniform_(-bound, bound, generator=generator)
            bound = 1.0 / math.sqrt(fan_in)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return hidden, output
