"""One layer of Gaussian units on features (Bouzidi et al. 2025, "Gaussian Neural Fields")."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fields.networks.layers import initialize_uniform
from fields.ops.backends import Backend
from fields.ops.gaussian_layer import gaussian_layer, squared_distances

# Radial functions of q, the squared distance from a unit's centre. All but the Gaussian are computed in plain torch.
PROFILES = {
    "multiquadric": lambda q: torch.sqrt(q + 1.0),
    "inverse_multiquadric": lambda q: torch.rsqrt(q + 1.0),
    "cubic": lambda q: (q + 1e-9) ** 1.5,
    "thin_plate": lambda q: 0.5 * q * torch.log(q + 1e-9),  # r^2 log r
    "wendland": lambda q: (1.0 - torch.sqrt(q + 1e-9)).clamp_min(0.0) ** 9 * (9.0 * torch.sqrt(q + 1e-9) + 1.0),
}


class GaussianRbf(nn.Module):
    """`units` Gaussian units and a linear output: features `[..., E]` → `[..., outputs]`.

        y = W exp(-q / 2) + a,      q_n = sum_e exp(log_widths[n, e]) (features_e - centres[n, e])^2

    With `linear`, a linear function of the features is added. `profile` puts another function of q in the place of the
    exponential.

    Centres start uniform in [-spread, spread], and `exp(log_widths)`, the inverse squared widths, at `1 / (E
    spread^2)`, so that q is of the order of 1. The authors start with all centres at 0 and all widths at 1, where
    every unit is the same.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int,
        *,
        spread: float,
        linear: bool,
        backend: Backend,
        generator: torch.Generator,
        profile: str = "gaussian",
    ) -> None:
        super().__init__()
        self.requested_backend: Backend = backend
        self.profile = profile
        self.centres = nn.Parameter(torch.empty(units, inputs).uniform_(-spread, spread, generator=generator))
        self.log_widths = nn.Parameter(torch.full((units, inputs), -math.log(inputs * spread**2)))
        self.output = nn.Linear(units, outputs)
        self.linear = nn.Linear(inputs, outputs, bias=False) if linear else None
        initialize_uniform([self.output, self.linear], generator)

    def forward(self, features: Tensor) -> Tensor:
        widths = self.log_widths.clamp(-10.0, 10.0)
        if self.profile == "gaussian":
            responses = gaussian_layer(features, self.centres, widths, self.requested_backend)
        else:
            responses = PROFILES[self.profile](squared_distances(features, self.centres, widths))
        values = self.output(responses)
        return values if self.linear is None else values + self.linear(features)
