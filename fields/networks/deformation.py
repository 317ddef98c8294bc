"""Deformation network: from points of a moving scene to points of one still scene."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.frequency import Frequency
from fields.networks.mlp import MLP


class Deformation(nn.Module):
    """Coords `[N, 3]` and times `[N]` in [0, 1] → coords `[N, 3]` in [0, 1] of a still scene.

    Pumarola et al. 2021, "D-NeRF", section 3:

        x' = x + MLP(octaves of x, octaves of t)

    Untrained, it moves nothing. No moment is fixed to be the still scene; in the paper the first one is.
    """

    def __init__(
        self,
        *,
        position_octaves: int,
        time_octaves: int,
        width: int,
        hidden_layers: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.position_encoding, self.time_encoding = Frequency(3, position_octaves), Frequency(1, time_octaves)
        inputs = self.position_encoding.outputs + self.time_encoding.outputs
        self.network = MLP(inputs, width, hidden_layers, 3, bias=False, generator=generator)
        nn.init.zeros_(self.network.output.weight)

    def forward(self, coords: Tensor, time: Tensor) -> Tensor:
        times = time.expand(coords.shape[:-1])[..., None]
        features = torch.cat([self.position_encoding(coords), self.time_encoding(times)], dim=-1)
        return (coords + self.network(features)).clamp(0.0, 1.0)
