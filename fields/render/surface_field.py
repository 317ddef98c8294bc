"""Surface of a field of distances or occupancy as a function that sphere tracing and marching cubes understand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fields.models.field import PointField
from fields.render.sphere_trace import Distance, in_chunks

# An unsigned distance is never negative. For images its surface is this thick to each side, in unit cubes.
HALF_THICKNESS = 1.5e-3
# Cells along an axis of the lattice of distances that is made for a field of occupancy.
OCCUPANCY_CELLS = 96


@dataclass(frozen=True)
class SurfaceField:
    """The surface of a field in the unit cube.

    function: points `[M, 3]` → `[M]`, negative inside.
    space: space of the field's channels, "signed_distance", "unsigned_distance" or "occupancy".
    colors: points `[M, 3]` → sRGB `[M, 3]`, or None.
    """

    function: Distance
    space: str
    colors: Callable[[Tensor], Tensor] | None
    device: torch.device

    @property
    def oriented(self) -> bool:
        """Whether the surface has an inside."""
        return self.space != "unsigned_distance"

    def traceable(self) -> Distance:
        """A function for `sphere_trace`, which never steps far beyond the surface."""
        if self.space == "signed_distance":
            return self.function
        if self.space == "unsigned_distance":
            return lambda points: self.function(points) - HALF_THICKNESS
        return partial(_distance_by_lattice, self.function, _lattice_distance(self.function, self.device))


def surface_field(field: PointField) -> SurfaceField:
    """The surface of a field whose `channels.is_surface`; its colors are channels 1 to 3, if it has them."""
    space = field.channels.space

    def function(points: Tensor) -> Tensor:
        value = field(points)[:, 0]
        return 0.5 - value if space == "occupancy" else value

    @torch.no_grad()
    def colors(points: Tensor) -> Tensor:
        return field(points)[:, 1:4].clamp(0, 1)

    return SurfaceField(function, space, colors if len(field.channels) > 1 else None, field.device)


@torch.no_grad()
def _lattice_distance(function: Distance, device: torch.device) -> Tensor:
    """Distances `[1, 1, n, n, n]` in unit cubes from each cell to the nearest cell whose center is inside."""
    from scipy.ndimage import distance_transform_edt

    n = OCCUPANCY_CELLS
    axis = (torch.arange(n, device=device) + 0.5) / n
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    outside = (in_chunks(function, grid) > 0).reshape(n, n, n).cpu().numpy()
    far = np.asarray(distance_transform_edt(outside)) if not outside.all() else np.full(outside.shape, 2.0 * n)
    return torch.from_numpy(far.astype(np.float32) / n)[None, None].to(device)


def _distance_by_lattice(function: Distance, lattice: Tensor, points: Tensor) -> Tensor:
    """Distances `[M]` at points `[M, 3]` for a field of occupancy.

    Far from the inside: the lattice's distance, less two cells. Near it: up to half a cell, less and less towards the
    surface.
    """
    cell = 1.0 / lattice.shape[-1]
    # grid_sample's last coordinate is the lattice's first axis.
    grid = (points * 2 - 1).flip(-1)[None, None, None]
    sampled = torch.nn.functional.grid_sample(lattice, grid, padding_mode="border", align_corners=False)
    far = sampled.reshape(-1) - 2 * cell
    result = far.clamp(min=0.0)
    near = (far < cell).nonzero().flatten()
    if len(near):
        result[near] = function(points[near]).clamp(-0.5, 0.5) * cell
    return result
