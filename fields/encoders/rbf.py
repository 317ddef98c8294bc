"""Radial basis functions where the signal wants them, alone and beside a small hash grid (Chen et al. 2023, "NeuRBF", section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.hash_grid import HashGrid
from fields.ops.neighbours import nearest
from fields.ops.rbf_gather import Kernel, Normalise, rbf_gather


class RbfKernels(nn.Module):
    """Coords `[..., D]` in [0, 1], D = 2 or 3 → `[..., F]` from the `neighbours` nearest of N kernels.

    Centres `[N, D]` and shapes (packed, `[N, 1]`, `[N, D]` or `[N, D (D + 1) / 2]`) are in units of coords * `extents` `[D]`, stay as they are,
    and count as numbers of the field. Only the features `[N, F]` are learned, from U(-1e-4, 1e-4), and `phases` `[F]` of the sines where there are to be
    any, from 0. `band` is the lowest and highest frequency of the sines that a kernel's value goes through, or None.
    """

    def __init__(
        self,
        centres: Tensor,
        shapes: Tensor,
        features: int,
        neighbours: int,
        extents: Tensor,
        kernel: Kernel,
        normalise: Normalise,
        band: tuple[float, float] | None,
        backend: str,
        generator: torch.Generator,
        phases: bool = False,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.kernel = kernel
        self.normalise = normalise
        self.requested_backend = backend
        self.outputs = features
        self.register_buffer("centres", centres)
        self.register_buffer("shapes", shapes)
        self.register_buffer("extents", extents, persistent=False)
        self.register_buffer("frequencies", band and band_frequencies(*band, features), persistent=False)
        self.phases = nn.Parameter(torch.zeros(features)) if phases and band else None
        self.features = nn.Parameter(torch.empty(len(centres), features).uniform_(-1e-4, 1e-4, generator=generator))

    def forward(self, coords: Tensor) -> Tensor:
        places = coords * self.extents
        around = nearest(places, self.centres, self.neighbours, self.requested_backend)
        return rbf_gather(
            places,
            around,
            self.centres,
            self.shapes,
            self.features,
            self.frequencies,
            self.phases,
            kernel=self.kernel,
            normalise=self.normalise,
            backend=self.requested_backend,
        )


class GridAndKernels(nn.Module):
    """Coords `[..., D]` → the grid's features, then the kernels', plus a learned number each: `[..., G + F]`. `grid` may be None."""

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


def band_frequencies(lowest: float, highest: float, count: int) -> Tensor:
    """`count` frequencies from `lowest` to `highest`, evenly spaced in their logarithm."""
    return torch.logspace(torch.tensor(float(lowest)).log2(), torch.tensor(float(highest)).log2(), count, base=2.0)
