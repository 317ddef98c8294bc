"""SIREN whose first sines have amplitudes that vary over the domain: the network of `nstr`.

Our design, inspired by Versace 2025, "Neural Spectral Transport Representation", which was withdrawn and is unverified.

A small grid holds a spectral state e(x). It gives the amplitude of each of K learned waves at x:

    z_i(x) = (1 + S_i(x)) sin(omega_i . x + b_i),      S(x) = P e(x) + p0,      x in [-1, 1]^D

A network of sines decodes z. With S = 0 it is an ordinary network of sines on a learned basis, which is the control
that it is compared with. A second small network F may learn how the state changes from node to node
(`fields/networks/transport.py`): its residual can be added to the loss, or F gives the slopes of the state at the
nodes itself (`jet`). With `phases` the state also shifts the waves: sin(omega_i . x + b_i + Psi_i(x)), Psi = P' e.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.encoders.factor_grid import FactorGrid
from fields.networks.layers import initialize_uniform
from fields.networks.siren import sine_layers
from fields.networks.transport import Transport, node_positions
from fields.ops.backends import Backend
from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import Factor, FactorLayout

Mode = Literal["spectral", "control", "literal"]


class Waves(nn.Module):
    """Learned waves `sin(omega_i . x + b_i)`: x `[..., D]` in [-1, 1] → `[..., K]`.

    Directions start evenly distributed, magnitudes log-uniform from `low` to `high` radians per unit of x.
    """

    def __init__(self, dimensions: int, count: int, *, low: float, high: float, generator: torch.Generator) -> None:
        super().__init__()
        directions = functional.normalize(torch.randn(count, dimensions, generator=generator), dim=-1)
        magnitudes = low * (high / low) ** torch.rand(count, 1, generator=generator)
        self.omega = nn.Parameter(directions * magnitudes)
        self.phase = nn.Parameter(2 * math.pi * torch.rand(count, generator=generator))

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        angles = functional.linear(x, self.omega, self.phase)
        return torch.sin(angles if shift is None else angles + shift)


class SpectralState(nn.Module):
    """State e(x) `[..., m]` from a grid, and the amplitudes S = P e + p0 `[..., K]` of the waves.

    The grid has `nodes` nodes along each axis, the outermost at 0 and 1, which start at N(0, 0.01). Between the nodes
    e is interpolated linearly, or with `smooth` with 3 t^2 - 2 t^3, whose slope is continuous. With a `jet` F it is a
    blend of lines through the nodes instead:

        e(x) = sum_c w_c(x) (e_c + F(x_c, e_c) (x - x_c)),      x in cells

    `phases` adds a second map P' for the phases, which starts at 0.
    """

    def __init__(
        self,
        nodes: tuple[int, ...],
        size: int,
        waves: int,
        *,
        backend: Backend,
        generator: torch.Generator,
        phases: bool = False,
        smooth: bool = False,
        jet: Transport | None = None,
    ) -> None:
        super().__init__()
        self.smooth = smooth
        self.jet = jet
        self.phases = nn.Linear(size, waves, bias=False) if phases else None
        if self.phases is not None:
            nn.init.zeros_(self.phases.weight)
        layout = FactorLayout(len(nodes), size, (((Factor(tuple(range(len(nodes))), nodes),),),))
        self.grid = FactorGrid(layout, backend, lambda grid, axes: grid.normal_(0.0, 0.1, generator=generator))
        self.amplitudes = nn.Linear(size, waves)
        initialize_uniform([self.amplitudes], generator)

    @property
    def nodes(self) -> Tensor:
        """The states at the nodes, `[n_D, ..., n_1, m]`: x is the last but one dimension."""
        return self.grid.grids[0]

    def at(self, coords: Tensor) -> Tensor:
        """State e `[..., m]` at coords `[..., D]` in [0, 1]."""
        cells = coords.new_tensor([n - 1.0 for n in reversed(self.nodes.shape[:-1])])
        position = coords.clamp(0.0, 1.0) * cells
        points = coords
        if self.smooth:
            t = position - position.detach().floor()
            points = (position - t + t * t * (3.0 - 2.0 * t)) / cells
        if self.jet is None:
            return self.grid(points)
        # The value at x = 0 and the slope of each line are interpolated, so that the result does not depend on the
        # number of points.
        corners = node_positions(self.nodes)
        slopes = self.jet(corners, self.nodes)
        starts = self.nodes - (slopes * ((corners + 1.0) / 2.0 * cells)[..., None]).sum(-2)
        table = torch.cat([starts.unsqueeze(-2), slopes], dim=-2).flatten(-2)
        layout = replace(self.grid.layout, features=table.shape[-1])
        lines = factor_grid(points, table.flatten(0, -2), layout, self.grid.requested_backend)
        lines = lines.unflatten(-1, (len(cells) + 1, -1))
        return lines[..., 0, :] + (lines[..., 1:, :] * position[..., None]).sum(-2)

    def forward(self, coords: Tensor) -> Tensor:
        return self.amplitudes(self.at(coords))


class SpectralNetwork(nn.Module):
    """Waves with varying amplitudes, decoded by a network of sines: coords `[..., D]` in [0, 1] → `[..., outputs]`.

    Without a `state` all amplitudes are 1: mode "control". Mode "literal" is the formula of the withdrawn paper as
    summaries print it, for reference: a decoder of the single value `sum_i S_i(x) sin(omega_i . x + b_i)`.
    """

    def __init__(
        self,
        mode: Mode,
        waves: Waves,
        state: SpectralState | None,
        *,
        width: int,
        hidden_layers: int,
        outputs: int,
        hidden_omega: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.mode: Mode = mode
        self.waves = waves
        self.state = state
        self.hidden_omega = hidden_omega
        inputs = 1 if mode == "literal" else len(waves.omega)
        self.hidden, self.output = sine_layers(
            inputs, width, hidden_layers, outputs, hidden_omega=hidden_omega, generator=generator
        )
        # The inputs of this network are sines, not coordinates: its first layer starts as its hidden ones.
        with torch.no_grad():
            bound = math.sqrt(6.0 / inputs) / hidden_omega
            self.hidden.first.weight.uniform_(-bound, bound, generator=generator)

    def modulated(self, coords: Tensor) -> Tensor:
        """Waves times their amplitudes, z `[..., K]`; for "literal" their weighted sum `[..., 1]`."""
        x = coords * 2.0 - 1.0
        if self.state is None:
            return self.waves(x)
        state = self.state.at(coords)
        waves = self.waves(x, None if self.state.phases is None else self.state.phases(state))
        amplitudes = self.state.amplitudes(state)
        if self.mode == "literal":
            return (amplitudes * waves).sum(-1, keepdim=True)
        return torch.addcmul(waves, amplitudes, waves)

    def decode(self, values: Tensor) -> Tensor:
        """Output `[..., outputs]` of the network of sines for z `[..., K]`."""
        for layer in self.hidden:
            values = torch.sin(self.hidden_omega * layer(values))
        return self.output(values)

    def forward(self, coords: Tensor) -> Tensor:
        return self.decode(self.modulated(coords))
