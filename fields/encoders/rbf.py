"""Encoders of adaptive radial basis functions, alone and beside a hash grid (Chen et al. 2023, "NeuRBF", section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.hash_grid import HashGrid
from fields.ops.backends import Backend
from fields.ops.neighbours import nearest
from fields.ops.rbf_gather import Kernel, Normalise, rbf_gather


class RbfKernels(nn.Module):
    """Coords `[..., D]` in [0, 1], D = 2 or 3 → features `[..., F]` of the `neighbours` nearest of N kernels.

    `centres` `[N, D]` and `shapes` (`[N, 1]`, `[N, D]` or packed `[N, D (D + 1) / 2]`) are in units of coords *
    `extents` `[D]`. They are not trained, and count as parameters of the field. Only the features `[N, F]` are
    trained, from U(-1e-4, 1e-4).

    `band` is the lowest and highest frequency of the sines that the kernels' values go through, or None for no sines.
    With `phases` the sines have trained phases `[F]`, from 0.
    """

    centres: Tensor
    shapes: Tensor
    extents: Tensor
    frequencies: Tensor | None

    def __init__(
        self,
        centres: Tensor,
        shapes: Tensor,
        *,
        features: int,
        neighbours: int,
        extents: Tensor,
        kernel: Kernel,
        normalise: Normalise,
        band: tuple[float, float] | None,
        backend: Backend,
        generator: torch.Generator,
        phases: bool = False,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.kernel: Kernel = kernel
        self.normalise: Normalise = normalise
        self.requested_backend: Backend = backend
        self.outputs = features
        self.register_buffer("centres", centres)
        self.register_buffer("shapes", shapes)
        self.register_buffer("extents", extents, persistent=False)
        self.register_buffer("frequencies", band and band_frequencies(*band, features), persistent=False)
        self.phases = nn.Parameter(torch.zeros(features)) if phases and band else None
        self.features = nn.Parameter(torch.empty(len(centres), features).uniform_(-1e-4, 1e-4, generator=generator))

    def forward(self, coords: Tensor) -> Tensor:
        points = coords * self.extents
        indices = nearest(points, self.centres, self.neighbours, self.requested_backend)
        return rbf_gather(
            points,
            indices,
            centres=self.centres,
            shapes=self.shapes,
            features=self.features,
            frequencies=self.frequencies,
            phases=self.phases,
            kernel=self.kernel,
            normalise=self.normalise,
            backend=self.requested_backend,
        )


class GridAndKernels(nn.Module):
    """Coords `[..., D]` → features of the grid, then of the kernels, plus a trained bias: `[..., G + F]`.

    Without a `grid` the kernels' features are alone.
    """

    def __init__(self, grid: HashGrid | None, kernels: RbfKernels, generator: torch.Generator) -> None:
        super().__init__()
        self.grid = grid
        self.kernels = kernels
        self.outputs = kernels.outputs + (grid.outputs if grid is not None else 0)
        self.bias = nn.Parameter(torch.empty(self.outputs).uniform_(-1e-4, 1e-4, generator=generator))

    def forward(self, coords: Tensor) -> Tensor:
        features = self.kernels(coords)
        if self.grid is not None:
            features = torch.cat([self.grid(coords), features], dim=-1)
        return features + self.bias


def band_frequencies(low: float, high: float, count: int) -> Tensor:
    """`count` frequencies from `low` to `high`, evenly spaced in their logarithm: `[count]`."""
    return torch.logspace(torch.tensor(float(low)).log2(), torch.tensor(float(high)).log2(), count, base=2.0)
