"""A radiance field as a surface: where it is dense, and its colours with and without the eye's direction."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fields.field import RadianceField
from fields.surface.implicit import Implicit, frame_of, sphere

# Directions of view that colours are the mean over, and the way over which lost light is counted, in longest sides.
DIRECTIONS = 16
OPAQUE = 1 / 128


class Radiance:
    """Density and colour at points `[M, 3]` of the box from 0 to `extents` whose longest side is 1, at the moment `time` (0 to 1).

    Where the field keeps a grid of cells that have density, there is none elsewhere, as when it is rendered; of a scene without
    bounds, the box is its inner cube. Where density depends on the direction of view, the mean over 16 of them counts.
    """

    def __init__(self, field: RadianceField, time: float = 0.0) -> None:
        self.field, self.time = field, time
        self.device = next(field.parameters()).device
        self.corner, sides = frame_of(field.domain)
        self.side = float(sides.max())
        self.extents = tuple(map(float, sides / sides.max()))
        self.scale = torch.tensor(sides.max() / sides, dtype=torch.float32, device=self.device)
        self.directions = torch.from_numpy(sphere(DIRECTIONS)).float().to(self.device)
        grid = getattr(field, "grid", None)
        self.cells = None if grid is None else grid.occupancy.cells()[0]

    def density(self, points: Tensor) -> Tensor:
        """`[M]`: the share of light lost over a way is 1 - exp(-density * way), ways in longest sides."""
        if getattr(self.field, "sees_directions", False):
            found = sum(self._ask(points, towards.expand_as(points))[0] for towards in self.directions) / DIRECTIONS
        else:
            found = self._ask(points)[0]
        if self.cells is None:
            return found
        count = self.cells.shape[0]
        x, y, z = ((points * self.scale) * count).long().clamp(0, count - 1).unbind(-1)
        return torch.where(self.cells[x, y, z], found, torch.zeros_like(found))

    def seen_from(self, points: Tensor, towards: Tensor) -> Tensor:
        """sRGB `[M, 3]` in unit directions `towards` `[M, 3]`, from the eye."""
        feature = self._ask(points, towards if getattr(self.field, "sees_directions", False) else None)[1]
        return self.field.color(feature, towards)[:, :3].clamp(0, 1)

    def colours(self, points: Tensor) -> Tensor:
        """The mean over 16 directions, sRGB `[M, 3]`."""
        return sum(self.seen_from(points, towards.expand_as(points)) for towards in self.directions) / DIRECTIONS

    def _ask(self, points: Tensor, towards: Tensor | None = None) -> tuple[Tensor, Tensor]:
        points = (points * self.scale).clamp(0, 1)
        more = {} if towards is None else {"directions": towards}
        if getattr(self.field, "moving", False):
            more["time"] = torch.full_like(points[:, 0], self.time)
        return self.field.density(self.field.coords(points) if hasattr(self.field, "coords") else points, **more)


def implicit_radiance(scene: Radiance, level: float) -> Implicit:
    """The surface around what is denser than `level`.

    The function is in shares of light lost over a 128th of the longest side: densities leap from none to hundreds, and those
    do not.
    """
    least = math.exp(-level * OPAQUE)
    return Implicit(lambda points: torch.exp(-scene.density(points) * OPAQUE) - least, "values", scene.colours, scene.extents, scene.corner,
                    scene.side, level, lambda value: -math.log(max(value + least, 1e-12)) / OPAQUE, scene.device, scene.seen_from)
