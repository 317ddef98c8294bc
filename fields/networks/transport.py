"""How a spectral state changes from node to node of its grid, as a small network learns it (the second part of `nstr`; see fields/networks/spectral.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.networks.initial import uniform


class Transport(nn.Module):
    """F(x, e) `[..., D, m]`: how the state e `[..., m]` changes per cell of the grid along each axis at x `[..., D]` in [-1, 1]; 0 at first."""

    def __init__(self, dimensions: int, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = nn.Linear(dimensions + size, width)
        self.output = nn.Linear(width, dimensions * size)
        uniform([self.hidden], generator)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        change = self.output(functional.gelu(self.hidden(torch.cat([x, state], dim=-1))))
        return change.unflatten(-1, (x.shape[-1], state.shape[-1]))

    def residual(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Of every edge between neighbouring nodes of the states `[n_D, ..., n_1, m]`: sum over the axes of the mean of |G(c + 1) - G(c) - F|^2
        in the middle of the edge, and the share of the changes that F explains (1: all; 0 or less: nothing)."""
        total = left = changes = nodes.new_zeros(())
        for change, rest in self.edges(nodes):
            total = total + rest.square().mean()
            left, changes = left + rest.square().sum(), changes + change.square().sum()
        return total, 1.0 - (left / changes.clamp_min(1e-20)).detach()

    def edges(self, nodes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each axis, x first, the changes along it from node to node, and what F leaves of them: both `[n_D, ..., n_1, m]`, one less along it."""
        dimensions, found = nodes.ndim - 1, []
        places = lattice(nodes)
        for axis in range(dimensions):  # (x is the last but one of the nodes)
            along = dimensions - 1 - axis
            change = nodes.diff(dim=along)
            middle_of = [
                array.narrow(along, 0, array.shape[along] - 1) + array.diff(dim=along) / 2 for array in (places, nodes)
            ]
            found.append((change, change - self(*middle_of)[..., axis, :]))
        return found

    def curl(self, nodes: Tensor) -> Tensor:
        """How far F is from being the slope of anything: for each pair of axes the mean square of the sum around a cell; 0 along one axis."""
        dimensions = nodes.ndim - 1
        slopes = self(lattice(nodes), nodes)
        total = nodes.new_zeros(())
        for a in range(dimensions):
            for b in range(a):
                around = (
                    slopes[..., a, :]
                    .diff(dim=dimensions - 1 - b)
                    .narrow(dimensions - 1 - a, 0, nodes.shape[dimensions - 1 - a] - 1)
                )
                back = (
                    slopes[..., b, :]
                    .diff(dim=dimensions - 1 - a)
                    .narrow(dimensions - 1 - b, 0, nodes.shape[dimensions - 1 - b] - 1)
                )
                total = total + (around - back).square().mean()
        return total

    def explained(self, nodes: Tensor) -> Tensor:
        """Of every cell, the share of the changes along its edges that F explains: `[n_D - 1, ..., n_1 - 1]`."""
        dimensions = nodes.ndim - 1
        left = changes = 0.0
        for axis, (change, rest) in enumerate(self.edges(nodes)):
            others = [d for d in range(dimensions) if d != dimensions - 1 - axis]
            changes, left = changes + _of_cells(change, others), left + _of_cells(rest, others)
        return 1.0 - left / changes.clamp_min(1e-20)


def lattice(nodes: Tensor) -> Tensor:
    """Where the nodes `[n_D, ..., n_1, m]` lie in [-1, 1]: `[n_D, ..., n_1, D]`, x first."""
    axes = [torch.linspace(-1, 1, n, dtype=nodes.dtype, device=nodes.device) for n in nodes.shape[:-1]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)


def _of_cells(edges: Tensor, axes: list[int]) -> Tensor:
    """Squares of what is along edges, summed over channels and over the edges of each cell, which are neighbours along `axes`."""
    found = edges.square().sum(-1)
    for axis in axes:
        found = found.narrow(axis, 0, found.shape[axis] - 1) + found.narrow(axis, 1, found.shape[axis] - 1)
    return found
