"""Encodings without learned parameters: the identity, NeRF's octaves, and random Fourier features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fields.encoders.footprint import FootprintEncoder, wave_means
from fields.encoders.sizes import frequency_outputs
from fields.ops.network_step import InputEncoding


class FixedEncoding(nn.Module):
    """Encoding without learned parameters, which a native training step computes along with the network."""

    outputs: int

    def input_encoding(self) -> InputEncoding:
        """The same encoding as the native step takes it."""
        raise NotImplementedError


class Identity(FixedEncoding):
    """Coords `[..., D]` in [0, 1] → the same points in [-1, 1], the range that SIREN's initialization assumes."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.outputs = dimensions

    def forward(self, coords: Tensor) -> Tensor:
        return coords * 2.0 - 1.0

    def input_encoding(self) -> InputEncoding:
        return InputEncoding()


class Frequency(FixedEncoding, FootprintEncoder):
    """NeRF's positional encoding (Mildenhall et al. 2020, equation 4).

        x, sin(2^l pi x), cos(2^l pi x),      l = 0 .. octaves - 1,      x in [-1, 1]^D

    Coords `[..., D]` in [0, 1] → `[..., D (2 octaves + 1)]`. The coordinates themselves come first, as in NeRF's code.
    `base` takes the place of pi; that code has 1. Over a region the waves have their means, and the coordinates stay.
    """

    def __init__(self, dimensions: int, octaves: int, base: float = math.pi) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.octaves = octaves
        self.base = base
        self.outputs = frequency_outputs(dimensions, octaves)

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        x = coords * 2.0 - 1.0
        bands = 2.0 ** torch.arange(self.octaves, dtype=x.dtype, device=x.device) * self.base
        phase = (x.unsqueeze(-2) * bands.unsqueeze(-1)).flatten(-2)
        sines, cosines = torch.sin(phase), torch.cos(phase)
        if footprint is not None:
            # A box is twice as large in [-1, 1].
            factors = wave_means((footprint.unsqueeze(-2) * bands.unsqueeze(-1)).flatten(-2).unsqueeze(-1))
            sines, cosines = sines * factors, cosines * factors
        return torch.cat([x, sines, cosines], dim=-1)

    def input_encoding(self) -> InputEncoding:
        bands = 2.0 ** torch.arange(self.octaves, dtype=torch.float32) * self.base
        matrix = torch.kron(bands[:, None], torch.eye(self.dimensions))
        return InputEncoding("octaves", matrix=matrix.contiguous())


class Fourier(FixedEncoding, FootprintEncoder):
    """Random Fourier features (Tancik et al. 2020, equation 4).

        cos(2 pi B x), sin(2 pi B x),      B [frequencies, D] drawn once from N(0, sigma^2)

    Coords `[N, D]` in [0, 1] → `[N, 2 frequencies]`. `sigma` is in cycles per unit of [0, 1]: on [-1, 1] the same
    encoding has half that sigma. B is a buffer and counts as parameters of the field, because inference needs it. Over
    a region the waves have their means.
    """

    matrix: Tensor

    def __init__(self, dimensions: int, frequencies: int, sigma: float, generator: torch.Generator) -> None:
        super().__init__()
        self.outputs = 2 * frequencies
        self.register_buffer("matrix", sigma * torch.randn(frequencies, dimensions, generator=generator))

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        phase = 2.0 * math.pi * coords @ self.matrix.T
        features = torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)
        if footprint is None:
            return features
        factors = wave_means(math.pi * footprint.unsqueeze(-2) * self.matrix)
        return features * torch.cat([factors, factors], dim=-1)

    def input_encoding(self) -> InputEncoding:
        return InputEncoding("fourier", scale=1.0, offset=0.0, matrix=(2.0 * math.pi * self.matrix).contiguous())
