"""Encodings without learned numbers: the identity, NeRF's octaves, and random Fourier features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fields.networks.sizes import frequency_outputs


class Identity(nn.Module):
    """Coordinates [0, 1]^D → [-1, 1]^D, the range that SIREN's initialisation is made for."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.outputs = dimensions

    def forward(self, coords: Tensor) -> Tensor:
        return coords * 2.0 - 1.0


class Frequency(nn.Module):
    """`[x, sin(2^l pi x), cos(2^l pi x)]`, l = 0..octaves-1, x in [-1, 1] (Mildenhall et al. 2020, equation 4).

    Coords `[..., D]` in [0, 1] → `[..., D (2 octaves + 1)]`; the coordinates themselves come first, as in NeRF's code. `base` is what
    stands for pi: that code leaves it out (1).
    """

    def __init__(self, dimensions: int, octaves: int, base: float = math.pi) -> None:
        super().__init__()
        self.octaves = octaves
        self.base = base
        self.outputs = frequency_outputs(dimensions, octaves)

    def forward(self, coords: Tensor) -> Tensor:
        x = coords * 2.0 - 1.0
        bands = 2.0 ** torch.arange(self.octaves, dtype=x.dtype, device=x.device) * self.base
        phase = (x.unsqueeze(-2) * bands.unsqueeze(-1)).flatten(-2)
        return torch.cat([x, torch.sin(phase), torch.cos(phase)], dim=-1)


class Fourier(nn.Module):
    """`[cos(2 pi B x), sin(2 pi B x)]`, B `[frequencies, D]` drawn once from N(0, sigma^2) (Tancik et al. 2020, equation 4).

    Coords `[N, D]` in [0, 1] → `[N, 2 frequencies]`. `sigma` is in cycles per unit of [0, 1]: on [-1, 1] the same
    encoding has half the sigma. B is stored (a buffer) and counted, as inference needs it.
    """

    def __init__(self, dimensions: int, frequencies: int, sigma: float, generator: torch.Generator) -> None:
        super().__init__()
        self.outputs = 2 * frequencies
        self.register_buffer("matrix", sigma * torch.randn(frequencies, dimensions, generator=generator))

    def forward(self, coords: Tensor) -> Tensor:
        phase = 2.0 * math.pi * coords @ self.matrix.T
        return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)
