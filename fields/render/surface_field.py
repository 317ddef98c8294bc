"""A fitted shape, whatever it was fitted as, as a function that sphere tracing and marching cubes understand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fields.models.field import PointField
from fields.render.sphere_trace import Distance, in_chunks

# An unsigned distance is zero nowhere: its surface is taken to be this thick to each side, in unit cubes.
HALF_THICKNESS = 1.5e-3
# Cells of the lattice on which distances are found where a field knows only inside from outside.
OCCUPANCY_CELLS = 96


@dataclass(frozen=True)
class SurfaceField:
    """`function`: points `[M, 3]` in the unit cube → `[M]`, negative inside. `space` is the channels' space.

    `colors`: points → sRGB `[M, 3]`, or None.
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
        """A function that never steps far beyond the surface, for `sphere_trace`."""
        if self.space == "signed_distance":
            return self.function
        if self.space == "unsigned_distance":
            return lambda points: self.function(points) - HALF_THICKNESS
        return partial(_by_lattice, self.function, _lattice_distance(self.function, self.device))


def surface_field(field: PointField) -> SurfaceField:
    """That of a field of the kind shape."""
    space = field.channels.space

    def function(points: Tensor) -> Tensor:
        value = field(points)[:, 0]
        return 0.5 - value if space == "occupancy" else value

    @torch.no_grad()
    def colors(points: Tensor) -> Tensor:
        return field(points)[:, 1:4].clamp(0, 1)

    return SurfaceField(function, space, colors if len(field.channels) > 1 else None, next(field.parameters()).device)


@torch.no_grad()
def _lattice_distance(function: Distance, device: torch.device) -> Tensor:
    """Distances `[1, 1, n, n, n]` (in unit cubes, positive outside) to the nearest cell centre that is inside."""
    from scipy.ndimage import distance_transform_edt

    n = OCCUPANCY_CELLS
    axis = (torch.arange(n, device=device) + 0.5) / n
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    outside = (in_chunks(function, grid) > 0).reshape(n, n, n).cpu().numpy()
    far = distance_transform_edt(outside) if not outside.all() else np.full(outside.shape, 2.0 * n)
    return torch.from_numpy(far.astype(np.float32) / n)[None, None].to(device)


def _by_lattice(function: Distance, lattice: Tensor, points: Tensor) -> Tensor:
    """Far from the inside, the lattice's distance; near it, steps of up to half a cell, ever smaller towards the surface."""
    cell = 1.0 / lattice.shape[-1]
    # grid_sample's last coordinate is the lattice's first axis.
    where = (points * 2 - 1).flip(-1)[None, None, None]
    far = (
        torch.nn.functional.grid_sample(lattice, where, padding_mode="border", align_corners=False).reshape(-1)
        - 2 * cell
    )
    result = far.clamp(min=0.0)
    near = (far < cell).nonzero().flatten()
    if len(near):
        result[near] = function(points[near]).clamp(-0.5, 0.5) * cell
    return result
