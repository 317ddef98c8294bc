"""One layer of Gaussian units in feature space, then a linear output (Bouzidi et al. 2025, "Gaussian Neural Fields")."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fields.ops.gaussian_layer import gaussian_layer


class GaussianRbf(nn.Module):
    """Features `[..., E]` → `[..., outputs]`: `W exp(-q / 2) + a`, with `linear` plus a linear function of the features.

    `q_n = sum_e exp(log_widths[n, e]) (features_e - centres[n, e])^2`. Centres begin uniform in [-spread, spread], and a
    unit's inverse squares of widths at `1 / (E spread^2)`, so that q is of the order of 1 among them: the authors begin with all
    centres at 0 and widths of 1, where every unit is the same.
    """

    def __init__(self, inputs: int, units: int, outputs: int, spread: float, linear: bool, backend: str,
                 generator: torch.Generator) -> None:
        super().__init__()
        self.requested_backend = backend
        self.centres = nn.Parameter(torch.empty(units, inputs).uniform_(-spread, spread, generator=generator))
        self.log_widths = nn.Parameter(torch.full((units, inputs), -math.log(inputs * spread**2)))
        self.output = nn.Linear(units, outputs)
        self.linear = nn.Linear(inputs, outputs, bias=False) if linear else None
        with torch.no_grad():
            for layer in (self.output, self.linear):
                for parameter in () if layer is None else layer.parameters():
                    bound = layer.in_features ** -0.5
                    parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        responses = gaussian_layer(features, self.centres, self.log_widths.clamp(-10.0, 10.0), self.requested_backend)
        values = self.output(responses)
        return values if self.linear is None else values + self.linear(features)
