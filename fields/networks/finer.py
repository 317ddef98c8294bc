"""FINER: sines of variable period.

Liu et al. 2024, "FINER: Flexible Spectral-bias Tuning in INR by Variable-periodic Activation Functions".
"""

from __future__ import annotations

import torch

from fields.networks.native import LinearNetwork
from fields.networks.siren import sine_layers
from fields.ops.mlp import ActivationShape


class Finer(LinearNetwork):
    """MLP of sines whose frequency grows with the magnitude of their argument.

        h_l = sin(omega_l (|z| + 1) z),      z = W_l h_{l-1} + b_l

    Coordinates `[N, D]` in [-1, 1] → `[N, outputs]`; the output layer is linear. Weights start as SIREN's. The biases
    of the first layer are drawn from U(-k, k) with k = `first_bias`: a larger k starts in parts of the chirp of
    higher frequency.

    `|z| + 1` is held constant in the backward pass, as in the authors' code. With `through_scale` it is
    differentiated too, which the slope of a fitted distance needs in order to be right.
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
        first_bias: float,
        through_scale: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.hidden, self.output = sine_layers(
            inputs, width, hidden_layers, outputs, hidden_omega=hidden_omega, generator=generator
        )
        self.first_omega = first_omega
        self.hidden_omega = hidden_omega
        self.through_scale = through_scale
        with torch.no_grad():
            self.hidden.first.bias.uniform_(-first_bias, first_bias, generator=generator)

    @property
    def activation(self) -> ActivationShape:
        name = "finer_through" if self.through_scale else "finer"
        return ActivationShape(name, omega=self.hidden_omega, first_omega=self.first_omega)
