"""A SIREN whose first sines are weighed from place to place (our design, inspired by Versace 2025, "Neural Spectral Transport Representation",
which was withdrawn and is unverified).

A small grid holds a spectral state e(x); from it follows how much of each of K learned waves there is at x:

    z_i(x) = (1 + S_i(x)) sin(omega_i . x + b_i),      S(x) = P e(x) + p0,      x in [-1, 1]^D

and a network of sines makes values of z. With S = 0 it is an ordinary network of sines on a learned basis, the control that it is compared with.
A second small network F may learn how the state changes from node to node (fields/networks/transport.py); what it leaves over can be added to the loss,
or F gives the slopes of the state at the nodes itself (`jet`). With `phases` the state also moves the waves: sin(omega_i . x + b_i + Psi_i(x)), Psi = P' e.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.encoders.factor_grid import FactorGrid
from fields.networks.initial import uniform
from fields.networks.siren import sine_layers
from fields.networks.transport import Transport, lattice
from fields.ops.factor_grid import factor_grid
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

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        angles = functional.linear(x, self.omega, self.phase)
        return torch.sin(angles if shift is None else angles + shift)


class SpectralState(nn.Module):
    """e(x) `[..., m]` from a grid with `nodes` nodes along each axis (the outermost at 0 and 1), N(0, 0.01), and S = P e + p0 `[..., K]`.

    Between the nodes e is interpolated linearly, or with 3 t^2 - 2 t^3 of the shares (`smooth`), whose slope is continuous. With a `jet` F it is a blend of
    lines through the nodes instead: `sum_c w_c(x) (e_c + F(x_c, e_c) (x - x_c))`, x in cells. `phases`: a second map P', 0 at first.
    """

    def __init__(
        self,
        nodes: tuple[int, ...],
        size: int,
        waves: int,
        backend: str,
        generator: torch.Generator,
        *,
        phases: bool = False,
        smooth: bool = False,
        jet: Transport | None = None,
    ) -> None:
        super().__init__()
        self.smooth = smooth
        self.jet = jet
        self.phases = nn.Linear(size, waves, bias=False) if phases else None
        if phases:
            nn.init.zeros_(self.phases.weight)
        layout = FactorLayout(len(nodes), size, (((Factor(tuple(range(len(nodes))), nodes),),),))
        self.grid = FactorGrid(layout, backend, lambda grid, axes: grid.normal_(0.0, 0.1, generator=generator))
        self.amplitudes = nn.Linear(size, waves)
        uniform([self.amplitudes], generator)

    @property
    def nodes(self) -> Tensor:
        """The states at the nodes, `[n_D, ..., n_1, m]`, x last but one."""
        return self.grid.grids[0]

    def at(self, coords: Tensor) -> Tensor:
        """e `[..., m]` at coords `[..., D]` in [0, 1]."""
        cells = coords.new_tensor([n - 1.0 for n in reversed(self.nodes.shape[:-1])])
        position = coords.clamp(0.0, 1.0) * cells
        places = coords
        if self.smooth:
            share = position - position.detach().floor()
            places = (position - share + share * share * (3.0 - 2.0 * share)) / cells
        if self.jet is None:
            return self.grid(places)
        # The lines' own values at x = 0 and their slopes are interpolated, so that nothing depends on the number of points.
        corners = lattice(self.nodes)
        slopes = self.jet(corners, self.nodes)
        starts = self.nodes - (slopes * ((corners + 1.0) / 2.0 * cells)[..., None]).sum(-2)
        table = torch.cat([starts.unsqueeze(-2), slopes], dim=-2).flatten(-2)
        layout = replace(self.grid.layout, features=table.shape[-1])
        found = factor_grid(places, table.flatten(0, -2), layout, self.grid.requested_backend).unflatten(
            -1, (len(cells) + 1, -1)
        )
        return found[..., 0, :] + (found[..., 1:, :] * position[..., None]).sum(-2)

    def forward(self, coords: Tensor) -> Tensor:
        return self.amplitudes(self.at(coords))


class SpectralNetwork(nn.Module):
    """Coords `[..., D]` in [0, 1] → `[..., outputs]`.

    mode "control" leaves the state out; "literal" is the withdrawn paper's formula as summaries print it, a decoder of the one number
    `sum_i S_i(x) sin(omega_i . x + b_i)`, for reference.
    """

    def __init__(
        self,
        mode: Mode,
        waves: Waves,
        state: SpectralState | None,
        width: int,
        hidden_layers: int,
        outputs: int,
        hidden_omega: float,
        generator: torch.Generator,
    ) -> None:
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
        x = coords * 2.0 - 1.0
        if self.mode == "control":
            return self.waves(x)
        state = self.state.at(coords)
        waves = self.waves(x, None if self.state.phases is None else self.state.phases(state))
        amplitudes = self.state.amplitudes(state)
        if self.mode == "literal":
            return (amplitudes * waves).sum(-1, keepdim=True)
        return torch.addcmul(waves, amplitudes, waves)

    def decode(self, values: Tensor) -> Tensor:
        """What the sines make of z."""
        for layer in self.hidden:
            values = torch.sin(self.hidden_omega * layer(values))
        return self.output(values)

    def forward(self, coords: Tensor) -> Tensor:
        return self.decode(self.modulated(coords))
