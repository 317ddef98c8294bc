"""A radiance field as a surface: where it is dense, and its colors with and without the direction of view."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fields.models.field import RadianceField
from fields.render.volume import RayColors, render_rays
from fields.sampling.contraction import uncontract
from fields.surface.implicit import Implicit, corner_and_sides, fibonacci_sphere

# Directions of view over which colors and direction-dependent densities are averaged.
DIRECTIONS = 16
# Length over which the loss of light is measured, in sides of the cube.
LOSS_LENGTH = 1 / 128
# Smallest component that is kept, as a fraction of the largest one's area: densities that the images leave undecided
# make thousands of smaller components.
MIN_COMPONENT = 1e-3
# Coords this close to the faces of the cube are not used: those of an unbounded scene are infinitely far away.
MARGIN = 1e-3


class Radiance:
    """Density and color of a radiance field at points `[M, 3]` of its cube, [0, 1]^3.

    time: the moment that is shown, from 0 to 1, if the scene moves.

    Density is zero in cells that the field's occupancy grid leaves empty, as in rendered images. A density that depends
    on the direction of view is averaged over 16 directions. Of an unbounded scene, only the inner cube is a surface.

    Attributes:
        corner, side: lower corner `[3]` and side of the cube in units of the scene.
        extents: size of the box of points, (1, 1, 1).
        cells: occupied cells of the cube, `[n, n, n]` bool, x first.
    """

    extents = (1.0, 1.0, 1.0)

    def __init__(self, field: RadianceField, time: float = 0.0) -> None:
        self.field, self.time = field, time
        self.device = field.device
        self.corner, sides = corner_and_sides(field.domain)
        self.side = float(sides.max())
        self.directions = torch.from_numpy(fibonacci_sphere(DIRECTIONS)).float().to(self.device)
        self.unbounded = field.cascades > 1
        self.cells = field.grid.occupancy.cells()[0]

    def render(self, origins: np.ndarray, directions: np.ndarray) -> tuple[RayColors, Tensor, Tensor]:
        """Render rays `[N, 3]` float64, in units of the scene, on black.

        Returns the result, and the origins and directions `[N, 3]` in units of the cube.
        """
        starts = torch.from_numpy((origins - self.corner) / self.side).float().to(self.device)
        ahead = torch.from_numpy(np.ascontiguousarray(directions)).float().to(self.device)
        return render_rays(self.field, starts, ahead, background=0.0, time=self._times(starts)), starts, ahead

    def density(self, points: Tensor) -> Tensor:
        """Density `[M]`, per side of the cube: the light lost over a length is 1 - exp(-density * length)."""
        found = self.unmasked_density(points)
        count = self.cells.shape[0]
        x, y, z = (points * count).long().clamp(0, count - 1).unbind(-1)
        return torch.where(self.cells[x, y, z], found, torch.zeros_like(found))

    def unmasked_density(self, points: Tensor) -> Tensor:
        """Density `[M]`, in empty cells too, and beyond the cube in an unbounded scene."""
        if not self.field.directional_density:
            return self._query(points)[0]
        total = torch.zeros_like(points[:, 0])
        for direction in self.directions:
            total = total + self._query(points, direction.expand_as(points))[0]
        return total / DIRECTIONS

    def to_coords(self, points: Tensor) -> Tensor:
        """Convert points to the field's coordinates, `[M, 3]` in [0, 1]."""
        return self.field.to_coords(points)

    def to_points(self, coords: Tensor) -> Tensor:
        """Convert the field's coordinates `[M, 3]` in [0, 1] to points."""
        return uncontract(coords) if self.unbounded else coords

    def cell_axes(self, corners: Tensor, size: float) -> Tensor:
        """Edges `[M, 3, 3]` of cells, one per column, in units of the cube.

        corners: lower corners of the cells in the field's coordinates, `[M, 3]`; size: their side there.
        """
        centre = corners + size / 2
        step = torch.eye(3, device=corners.device) * (size / 2)
        return torch.stack(
            [
                self.to_points((centre + axis).clamp(max=1 - MARGIN))
                - self.to_points((centre - axis).clamp(min=MARGIN))
                for axis in step
            ],
            dim=-1,
        )

    def color_function(self, points: Tensor) -> Callable[[Tensor], Tensor]:
        """A function from a unit direction of view `[3]` to the colors of points `[M, 3]`, sRGB `[M, 3]`."""
        directional = self.field.directional_density
        feature = None if directional else self._query(points)[1]

        def colors(direction: Tensor) -> Tensor:
            directions = direction.expand_as(points)
            seen = self._query(points, directions)[1] if feature is None else feature
            return self.field.color(seen, directions)[:, :3].clamp(0, 1)

        return colors

    def colors(self, points: Tensor) -> Tensor:
        """Mean color over 16 directions of view, sRGB `[M, 3]`."""
        colors = self.color_function(points)
        total = torch.zeros_like(points)
        for direction in self.directions:
            total = total + colors(direction)
        return total / DIRECTIONS

    def _times(self, points: Tensor) -> Tensor | None:
        return torch.full_like(points[:, 0], self.time) if self.field.moving else None

    def _query(self, points: Tensor, directions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.field.density(self.to_coords(points), self._times(points), directions)


def implicit_radiance(scene: Radiance, level: float) -> Implicit:
    """The surface around what is denser than `level`.

    The implicit function is the fraction of light that passes `LOSS_LENGTH`. Densities leap from zero to hundreds; this
    fraction changes smoothly.
    """
    base = math.exp(-level * LOSS_LENGTH)
    return Implicit(
        function=lambda points: torch.exp(-scene.density(points) * LOSS_LENGTH) - base,
        type="values",
        colors=scene.colors,
        extents=scene.extents,
        corner=scene.corner,
        side=scene.side,
        level=level,
        value_of=lambda value: -math.log(max(value + base, 1e-12)) / LOSS_LENGTH,
        device=scene.device,
        min_component=MIN_COMPONENT,
    )
