"""FINER: sines whose period varies with what goes in (Liu et al. 2024, "FINER: Flexible Spectral-bias Tuning in INR by Variable-periodic
Activation Functions")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.siren import sine_layers


class Finer(nn.Module):
    """`h_l = sin(omega_l (|z| + 1) z)`, `z = W_l h_{l-1} + b_l`, linear output.

    Coordinates `[N, D]` in [-1, 1] → `[N, outputs]`. Weights are initialised as SIREN's. The biases of the first layer are drawn from
    U(-k, k), k = `first_bias`: a larger k begins in faster parts of the chirp. `|z| + 1` is held constant in the backward pass, as in
    the authors' code; `through_scale=True` differentiates it too, which the derivatives of a fitted distance need to be its own.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        first_omega: float,
        hidden_omega: float,
        first_bias: float,
        through_scale: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.hidden, self.output = sine_layers(inputs, width, hidden_layers, outputs, hidden_omega, generator)
        self.first_omega = first_omega
        self.hidden_omega = hidden_omega
        self.through_scale = through_scale
        with torch.no_grad():
            self.hidden[0].bias.uniform_(-first_bias, first_bias, generator=generator)

    def forward(self, coords: Tensor) -> Tensor:
        omega = self.first_omega
        for layer in self.hidden:
            z = layer(coords)
            scale = z.abs() + 1.0
            coords = torch.sin(omega * (scale if self.through_scale else scale.detach()) * z)
            omega = self.hidden_omega
        return self.output(coords)
