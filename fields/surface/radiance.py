"""A radiance field as a surface: where it is dense, and its colours with and without the eye's direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fields.models.field import RadianceField
from fields.render.volume import RayColors, render_rays
from fields.sampling.contraction import expand
from fields.sampling.occupancy import OccupancyGrid
from fields.surface.implicit import Implicit, frame_of, sphere

# Directions of view that colours are the mean over, and the way over which lost light is counted, in longest sides.
DIRECTIONS = 16
OPAQUE = 1 / 128
# Densities that pictures left undecided make thousands of parts that are smaller than this share of the largest.
MIN_COMPONENT = 1e-3
# Fields that say nothing of how they are marched through: cells of a grid, how often it looks at each, and the step.
CELLS, LOOKS, STEP = 64, 4, 1 / 512


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
        self.unbounded = getattr(field, "levels", 1) > 1
        grid = getattr(field, "grid", None)
        self.cells = None if grid is None else grid.occupancy.cells()[0]

    @cached_property
    def _render(self) -> tuple[OccupancyGrid, dict]:
        """What rays are marched through, and how; in longest sides."""
        if hasattr(self.field, "how"):
            return self.field.grid, self.field.how
        grid = OccupancyGrid(CELLS, lower=(0.0, 0.0, 0.0), upper=self.extents).to(self.device)
        for seed in range(LOOKS):
            grid.update(self.bare_density, STEP, seed)
        return grid, {"step": STEP, "most": 4096}

    def look(self, origins: np.ndarray, directions: np.ndarray) -> tuple[RayColors, Tensor, Tensor]:
        """What rays `[N, 3]` float64 in the fitted file's units see, on black; and their origins and directions `[N, 3]` in longest sides."""
        starts = torch.from_numpy((origins - self.corner) / self.side).float().to(self.device)
        ahead = torch.from_numpy(np.ascontiguousarray(directions)).float().to(self.device)
        grid, how = self._render
        moment = torch.full_like(starts[:, 0], self.time) if getattr(self.field, "moving", False) else None
        return render_rays(self.field, starts, ahead, grid, 0.0, time=moment, **how), starts, ahead

    def density(self, points: Tensor) -> Tensor:
        """`[M]`: the share of light lost over a way is 1 - exp(-density * way), ways in longest sides."""
        found = self.bare_density(points)
        if self.cells is None:
            return found
        count = self.cells.shape[0]
        x, y, z = ((points * self.scale) * count).long().clamp(0, count - 1).unbind(-1)
        return torch.where(self.cells[x, y, z], found, torch.zeros_like(found))

    def bare_density(self, points: Tensor) -> Tensor:
        """The same whatever the grid says, and beyond the box."""
        if getattr(self.field, "sees_directions", False):
            return sum(self._ask(points, towards.expand_as(points))[0] for towards in self.directions) / DIRECTIONS
        return self._ask(points)[0]

    def coords(self, points: Tensor) -> Tensor:
        """Where points are in the field's own coordinates, `[M, 3]` in [0, 1]."""
        points = points * self.scale
        return self.field.coords(points) if hasattr(self.field, "coords") else points.clamp(0, 1)

    def points(self, coords: Tensor) -> Tensor:
        """What `coords` undoes."""
        return expand(coords) if self.unbounded else coords / self.scale

    def cell_axes(self, corners: Tensor, size: float) -> Tensor:
        """The edges `[M, 3, 3]` (one a column) of cells of the field's coordinates with these lower corners, in longest sides."""
        middle = corners + size / 2
        step = torch.eye(3, device=corners.device) * (size / 2)
        return torch.stack(
            [
                self.points((middle + way).clamp(max=1 - 1e-3)) - self.points((middle - way).clamp(min=1e-3))
                for way in step
            ],
            dim=-1,
        )

    def looks(self, points: Tensor) -> Callable[[Tensor], Tensor]:
        """The colours of points `[M, 3]`: sRGB `[M, 3]` in the unit direction `[3]` from the eye."""
        sees = getattr(self.field, "sees_directions", False)
        feature = None if sees else self._ask(points)[1]

        def seen(towards: Tensor) -> Tensor:
            towards = towards.expand_as(points)
            return self.field.color(self._ask(points, towards)[1] if sees else feature, towards)[:, :3].clamp(0, 1)

        return seen

    def colors(self, points: Tensor) -> Tensor:
        """The mean over 16 directions, sRGB `[M, 3]`."""
        seen = self.looks(points)
        return sum(seen(towards) for towards in self.directions) / DIRECTIONS

    def _ask(self, points: Tensor, towards: Tensor | None = None) -> tuple[Tensor, Tensor]:
        more = {} if towards is None else {"directions": towards}
        if getattr(self.field, "moving", False):
            more["time"] = torch.full_like(points[:, 0], self.time)
        return self.field.density(self.coords(points), **more)


def implicit_radiance(scene: Radiance, level: float) -> Implicit:
    """The surface around what is denser than `level`.

    The function is in shares of light lost over a 128th of the longest side: densities leap from none to hundreds, and those
    do not.
    """
    least = math.exp(-level * OPAQUE)
    return Implicit(
        lambda points: torch.exp(-scene.density(points) * OPAQUE) - least,
        "values",
        scene.colors,
        scene.extents,
        scene.corner,
        scene.side,
        level,
        lambda value: -math.log(max(value + least, 1e-12)) / OPAQUE,
        scene.device,
        MIN_COMPONENT,
    )
