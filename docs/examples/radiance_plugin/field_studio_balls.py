"""Example of a method outside of Field Studio that builds a radiance field itself: two balls of fog.

A radiance field overrides `density` and `color`; rendering, fitting, export and distillation need nothing else.
"""

from __future__ import annotations

import torch
from pydantic import Field as Option
from torch import Tensor, nn

import field_studio as fs


class TwoBalls(fs.RadianceField):
    """Two balls whose centres, radii and colors are learned. Coordinates are in units of the scene's cube."""

    def __init__(self, domain: fs.Domain, channels: fs.Channels, seed: int) -> None:
        super().__init__(domain, channels)
        random = torch.Generator().manual_seed(seed)
        self.centres = nn.Parameter(0.4 + 0.2 * torch.rand(2, 3, generator=random))
        self.radii = nn.Parameter(torch.full((2,), 0.1))
        self.colors = nn.Parameter(torch.randn(2, 3, generator=random))

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        distance = (coords[..., None, :] - self.centres).norm(dim=-1) - self.radii
        per_ball = 60.0 * torch.sigmoid(-40.0 * distance)  # [..., 2]
        return per_ball.sum(dim=-1), per_ball

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        weights = feature + 1.0  # outside the balls, both colors count alike
        return weights / weights.sum(dim=-1, keepdim=True) @ torch.sigmoid(self.colors)


class Balls(fs.RadianceMethod):
    name = "balls"
    summary = "two balls of fog (an example of a plug-in that builds a radiance field)"
    paper = "none"

    learning_rate: float = Option(2e-2, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps.")

    def parameters(self, dimensions: int, channels: int) -> int:
        """Number of parameters of `TwoBalls`. The occupancy grid and a learned background are counted elsewhere."""
        return 2 * (3 + 1 + 3)

    def build(self, domain: fs.Domain, channels: fs.Channels, seed: int) -> TwoBalls:
        return TwoBalls(domain, channels, seed)
