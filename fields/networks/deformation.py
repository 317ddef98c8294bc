"""Where a place of a moving scene is in the still scene that all its moments are bent from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.encoders.frequency import Frequency
from fields.networks.mlp import MLP


class Deformation(nn.Module):
    """Coords `[N, 3]` and times `[N]` in [0, 1] → coords `[N, 3]` in [0, 1] of one still scene (Pumarola et al. 2021, section 3).

    They are moved by what an MLP finds from octaves of place and time: by nothing before the first step. (No moment is the still scene
    itself; in the paper the first is.)
    """

    def __init__(
        self, place_octaves: int, time_octaves: int, width: int, hidden_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.place, self.time = Frequency(3, place_octaves), Frequency(1, time_octaves)
        self.network = MLP(
            self.place.outputs + self.time.outputs, width, hidden_layers, 3, bias=False, generator=generator
        )
        nn.init.zeros_(self.network.output.weight)

    def forward(self, coords: Tensor, time: Tensor) -> Tensor:
        features = torch.cat([self.place(coords), self.time(time.expand(coords.shape[:-1])[..., None])], dim=-1)
        return (coords + self.network(features)).clamp(0.0, 1.0)
