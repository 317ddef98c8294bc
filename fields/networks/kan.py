"""Kolmogorov-Arnold network: a learned function on every edge.

Liu et al. 2024, "KAN: Kolmogorov-Arnold Networks", equation 2.10.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Basis = Literal["spline", "gaussian"]

# Basis functions on each edge.
FUNCTIONS = 8
# The basis covers [-REACH, REACH]. Outside of it a feature has the base function alone.
REACH = 2.0


class KanLayer(nn.Module):
    """Kolmogorov-Arnold layer, `[..., inputs]` → `[..., outputs]`.

        y_o = sum_i (w_oi silu(x_i) + sum_k c_oik B_k(x_i))

    B is a basis of 8 functions on [-2, 2]: "spline" (uniform cubic B-splines) or "gaussian" (Gaussian bumps, as in
    FastKAN, Li 2024). ValueError for another basis.
    """

    def __init__(self, inputs: int, outputs: int, basis: Basis, generator: torch.Generator) -> None:
        super().__init__()
        if basis not in ("spline", "gaussian"):
            raise ValueError(f"the basis is spline or gaussian, not {basis!r}")
        self.basis = basis
        bound = (1 / inputs) ** 0.5
        self.base = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
        self.coefficients = nn.Parameter(
            0.1 * inputs**-0.5 * torch.randn(outputs, inputs * FUNCTIONS, generator=generator)
        )

    def functions(self, x: Tensor) -> Tensor:
        """The basis functions at each feature: `[..., inputs]` → `[..., inputs * 8]`."""
        if self.basis == "gaussian":
            centres = torch.linspace(-REACH, REACH, FUNCTIONS, dtype=x.dtype, device=x.device)
            width = 2 * REACH / (FUNCTIONS - 1)
            return torch.exp(-(((x.unsqueeze(-1) - centres) / width) ** 2)).flatten(-2)
        # A cubic B-spline is 0 beyond two knots from its centre; eight of them cover [-2, 2] with five intervals.
        knot = 2 * REACH / (FUNCTIONS - 3)
        centres = (torch.arange(FUNCTIONS, dtype=x.dtype, device=x.device) - (FUNCTIONS - 1) / 2) * knot
        d = ((x.unsqueeze(-1) - centres) / knot).abs()
        near = 2 / 3 - d**2 + d**3 / 2
        far = (2 - d).clamp(min=0) ** 3 / 6
        return torch.where(d < 1, near, far).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x) @ self.base.T + self.functions(x) @ self.coefficients.T


class Kan(nn.Module):
    """`hidden_layers` Kolmogorov-Arnold layers of `width` and an output layer: `[..., inputs]` → `[..., outputs]`."""

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        *,
        basis: Basis,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers, outputs]
        self.layers = nn.Sequential(*(KanLayer(a, b, basis, generator) for a, b in zip(sizes, sizes[1:])))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
