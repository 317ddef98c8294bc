"""A SIREN whose first sines are weighed from place to place (our design, inspired by Versace 2025, "Neural Spectral Transport Representation",
which was withdrawn and is unverified).

A small grid holds a spectral state e(x); from it follows how much of each of K learned waves there is at x:

    z_i(x) = (1 + S_i(x)) sin(omega_i . x + b_i),      S(x) = P e(x) + p0,      x in [-1, 1]^D

and a network of sines makes values of z. With S = 0 it is an ordinary network of sines on a learned basis, the control that it is compared with.
A second small network F may learn how the state changes from node to node (the transport); what it leaves over can be added to the loss.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.encoders.factor_grid import FactorGrid
from fields.networks.siren import sine_layers
from fields.ops.factor_layout import Factor, FactorLayout

Mode = Literal["spectral", "control", "literal"]


class Waves(nn.Module):
    """`sin(omega_i . x + b_i)`, x `[..., D]` in [-1, 1] → `[..., K]`; directions even, magnitudes log-uniform from `lowest` to `highest` rad/unit."""

    def __init__(self, dimensions: int, count: int, lowest: float, highest: float, generator: torch.Generator) -> None:
        super().__init__()
        directions = functional.normalize(torch.randn(count, dimensions, generator=generator), dim=-1)
        magnitudes = lowest * (highest / lowest) ** torch.rand(count, 1, generator=generator)
        self.omega = nn.Parameter(directions * magnitudes)
        self.phase = nn.Parameter(2 * math.pi * torch.rand(count, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(functional.linear(x, self.omega, self.phase))


class SpectralState(nn.Module):
    """e(x) `[..., m]` from a grid with `nodes` nodes along each axis (the outermost at 0 and 1), N(0, 0.01), and S = P e + p0 `[..., K]`."""

    def __init__(self, nodes: tuple[int, ...], size: int, waves: int, backend: str, generator: torch.Generator) -> None:
        super().__init__()
        layout = FactorLayout(len(nodes), size, (((Factor(tuple(range(len(nodes))), nodes),),),))
        self.grid = FactorGrid(layout, backend, lambda grid, axes: grid.normal_(0.0, 0.1, generator=generator))
        self.amplitudes = nn.Linear(size, waves)
        bound = size ** -0.5
        nn.init.uniform_(self.amplitudes.weight, -bound, bound, generator=generator)
        nn.init.uniform_(self.amplitudes.bias, -bound, bound, generator=generator)

    @property
    def nodes(self) -> Tensor:
        """The states at the nodes, `[n_D, ..., n_1, m]`, x last but one."""
        return self.grid.grids[0]

    def forward(self, coords: Tensor) -> Tensor:
        return self.amplitudes(self.grid(coords))


class Transport(nn.Module):
    """F(x, e) `[..., D, m]`: how the state e `[..., m]` changes per cell of the grid along each axis at x `[..., D]` in [-1, 1]; 0 at first."""

    def __init__(self, dimensions: int, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = nn.Linear(dimensions + size, width)
        self.output = nn.Linear(width, dimensions * size)
        bound = (dimensions + size) ** -0.5
        nn.init.uniform_(self.hidden.weight, -bound, bound, generator=generator)
        nn.init.uniform_(self.hidden.bias, -bound, bound, generator=generator)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        change = self.output(functional.gelu(self.hidden(torch.cat([x, state], dim=-1))))
        return change.unflatten(-1, (x.shape[-1], state.shape[-1]))

    def residual(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Of every edge between neighbouring nodes of the states `[n_D, ..., n_1, m]`: sum over the axes of the mean of |G(c + 1) - G(c) - F|^2
        in the middle of the edge, and the share of the changes that F explains (1: all; 0 or less: nothing)."""
        dimensions = nodes.ndim - 1
        axes = [torch.linspace(-1, 1, n, device=nodes.device) for n in nodes.shape[:-1]]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)
        total = left = changes = nodes.new_zeros(())
        for axis in range(dimensions):  # of x first; it is the last but one of the nodes
            along = dimensions - 1 - axis
            change = nodes.diff(dim=along)
            middle_of = [array.narrow(along, 0, array.shape[along] - 1) + array.diff(dim=along) / 2 for array in (places, nodes)]
            rest = change - self(*middle_of)[..., axis, :]
            total = total + rest.square().mean()
            left, changes = left + rest.square().sum(), changes + change.square().sum()
        return total, 1.0 - (left / changes.clamp_min(1e-20)).detach()


class SpectralNetwork(nn.Module):
    """Coords `[..., D]` in [0, 1] → `[..., outputs]`.

    mode "control" leaves the state out; "literal" is the withdrawn paper's formula as summaries print it, a decoder of the one number
    `sum_i S_i(x) sin(omega_i . x + b_i)`, for reference.
    """

    def __init__(self, mode: Mode, waves: Waves, state: SpectralState | None, width: int, hidden_layers: int, outputs: int, hidden_omega: float,
                 generator: torch.Generator) -> None:
        super().__init__()
        self.mode = mode
        self.waves = waves
        self.state = state
        self.hidden_omega = hidden_omega
        inputs = 1 if mode == "literal" else len(waves.omega)
        self.hidden, self.output = sine_layers(inputs, width, hidden_layers, outputs, hidden_omega, generator)
        with torch.no_grad():  # what comes in are sines, not coordinates
            bound = math.sqrt(6.0 / inputs) / hidden_omega
            self.hidden[0].weight.uniform_(-bound, bound, generator=generator)

    def modulated(self, coords: Tensor) -> Tensor:
        """z `[..., K]` (of "literal" the one number)."""
        waves = self.waves(coords * 2.0 - 1.0)
        if self.mode == "control":
            return waves
        if self.mode == "literal":
            return (self.state(coords) * waves).sum(-1, keepdim=True)
        return torch.addcmul(waves, self.state(coords), waves)

    def decode(self, values: Tensor) -> Tensor:
        """What the sines make of z."""
        for layer in self.hidden:
            values = torch.sin(self.hidden_omega * layer(values))
        return self.output(values)

    def forward(self, coords: Tensor) -> Tensor:
        return self.decode(self.modulated(coords))
