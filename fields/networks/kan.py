"""A Kolmogorov-Arnold layer: a learned function on every edge (Liu et al. 2024, "KAN: Kolmogorov-Arnold Networks", equation 2.10)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Functions an edge, and where they lie: features beyond have only the base function.
FUNCTIONS = 8
REACH = 2.0


class KanLayer(nn.Module):
    """`y_o = sum_i (w_oi silu(x_i) + sum_k c_oik B_k(x_i))`, `[..., inputs]` → `[..., outputs]`.

    B is a basis of 8 functions on [-2, 2]: "spline" (uniform cubic B-splines) or "gaussian" (Gaussian bumps, as in FastKAN, Li 2024).
    """

    def __init__(self, inputs: int, outputs: int, basis: str, generator: torch.Generator) -> None:
        super().__init__()
        if basis not in ("spline", "gaussian"):
            raise ValueError(f"the basis is spline or gaussian, not {basis!r}")
        self.basis = basis
        self.base = nn.Parameter(
            torch.empty(outputs, inputs).uniform_(-((1 / inputs) ** 0.5), (1 / inputs) ** 0.5, generator=generator)
        )
        self.coefficients = nn.Parameter(
            0.1 * inputs**-0.5 * torch.randn(outputs, inputs * FUNCTIONS, generator=generator)
        )

    def functions(self, x: Tensor) -> Tensor:
        """The basis at each feature: `[..., inputs]` → `[..., inputs * 8]`."""
        if self.basis == "gaussian":
            centres = torch.linspace(-REACH, REACH, FUNCTIONS, dtype=x.dtype, device=x.device)
            width = 2 * REACH / (FUNCTIONS - 1)
            return torch.exp(-(((x.unsqueeze(-1) - centres) / width) ** 2)).flatten(-2)
        # Cubic B-splines are 0 beyond two knots from their middle; eight of them cover [-2, 2] with five intervals.
        knot = 2 * REACH / (FUNCTIONS - 3)
        middles = (torch.arange(FUNCTIONS, dtype=x.dtype, device=x.device) - (FUNCTIONS - 1) / 2) * knot
        d = ((x.unsqueeze(-1) - middles) / knot).abs()
        near = 2 / 3 - d**2 + d**3 / 2
        far = (2 - d).clamp(min=0) ** 3 / 6
        return torch.where(d < 1, near, far).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x) @ self.base.T + self.functions(x) @ self.coefficients.T


class Kan(nn.Module):
    """`hidden_layers` Kolmogorov-Arnold layers of `width`, and one for the output: features `[..., inputs]` → `[..., outputs]`."""

    def __init__(
        self, inputs: int, width: int, hidden_layers: int, outputs: int, basis: str, generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = [inputs, *[width] * hidden_layers, outputs]
        self.layers = nn.Sequential(*(KanLayer(a, b, basis, generator) for a, b in zip(sizes, sizes[1:])))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
