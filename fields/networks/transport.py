"""Network that predicts how the spectral state of `nstr` changes between the nodes of its grid.

The second part of `nstr`; `fields/networks/spectral.py` has the first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.networks.layers import initialize_uniform


class Transport(nn.Module):
    """Predicted change F(x, e) of the state per grid cell along each axis.

        F(x, e) = W_2 gelu(W_1 [x, e] + b_1) + b_2

    Points x `[..., D]` in [-1, 1] and states e `[..., m]` → `[..., D, m]`. F starts at 0.
    """

    def __init__(self, dimensions: int, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = nn.Linear(dimensions + size, width)
        self.output = nn.Linear(width, dimensions * size)
        initialize_uniform([self.hidden], generator)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        change = self.output(functional.gelu(self.hidden(torch.cat([x, state], dim=-1))))
        return change.unflatten(-1, (x.shape[-1], state.shape[-1]))

    def residual(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of F on all edges between neighbouring nodes, and the fraction of the changes that F explains.

        `nodes` are the states `[n_D, ..., n_1, m]`. The loss is the mean of |e(c + 1) - e(c) - F|^2 over the edges
        along an axis, summed over the axes, with F in the middle of the edge. A fraction of 1 means all changes, 0 or
        less means none.
        """
        loss = unexplained = total = nodes.new_zeros(())
        for change, rest in self.edges(nodes):
            loss = loss + rest.square().mean()
            unexplained, total = unexplained + rest.square().sum(), total + change.square().sum()
        return loss, 1.0 - (unexplained / total.clamp_min(1e-20)).detach()

    def edges(self, nodes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each axis, x first: the changes from node to node along it, and their rest after F is subtracted.

        `nodes` are the states `[n_D, ..., n_1, m]`; both results have one node less along the axis.
        """
        dimensions, found = nodes.ndim - 1, []
        points = node_positions(nodes)
        for axis in range(dimensions):
            # Axis x is the last but one dimension of `nodes`.
            along = dimensions - 1 - axis
            change = nodes.diff(dim=along)
            point, state = (
                array.narrow(along, 0, array.shape[along] - 1) + array.diff(dim=along) / 2 for array in (points, nodes)
            )
            found.append((change, change - self(point, state)[..., axis, :]))
        return found

    def curl(self, nodes: Tensor) -> Tensor:
        """Mean square of the sum of F around a cell, summed over the pairs of axes.

        It is 0 where F is a gradient, and for a single axis.
        """
        dimensions = nodes.ndim - 1
        slopes = self(node_positions(nodes), nodes)
        total = nodes.new_zeros(())
        for a in range(dimensions):
            for b in range(a):
                dim_a, dim_b = dimensions - 1 - a, dimensions - 1 - b
                over_b = slopes[..., a, :].diff(dim=dim_b).narrow(dim_a, 0, nodes.shape[dim_a] - 1)
                over_a = slopes[..., b, :].diff(dim=dim_a).narrow(dim_b, 0, nodes.shape[dim_b] - 1)
                total = total + (over_b - over_a).square().mean()
        return total

    def explained(self, nodes: Tensor) -> Tensor:
        """Fraction of the changes along the edges of each cell that F explains: `[n_D - 1, ..., n_1 - 1]`."""
        dimensions = nodes.ndim - 1
        unexplained = total = nodes.new_zeros(())
        for axis, (change, rest) in enumerate(self.edges(nodes)):
            others = [d for d in range(dimensions) if d != dimensions - 1 - axis]
            total, unexplained = total + _sum_over_cells(change, others), unexplained + _sum_over_cells(rest, others)
        return 1.0 - unexplained / total.clamp_min(1e-20)


def node_positions(nodes: Tensor) -> Tensor:
    """Positions in [-1, 1] of the nodes of a grid `[n_D, ..., n_1, m]`: `[n_D, ..., n_1, D]`, x first."""
    axes = [torch.linspace(-1, 1, n, dtype=nodes.dtype, device=nodes.device) for n in nodes.shape[:-1]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)


def _sum_over_cells(edges: Tensor, axes: list[int]) -> Tensor:
    """Squares of the values on edges, summed over the channels and over the edges of each cell.

    The edges of a cell are neighbours along `axes`.
    """
    found = edges.square().sum(-1)
    for axis in axes:
        found = found.narrow(axis, 0, found.shape[axis] - 1) + found.narrow(axis, 1, found.shape[axis] - 1)
    return found
