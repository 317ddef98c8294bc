"""Rays through a radiance field: samples in occupied cells, density, colour where it can be seen, and what gathers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.field import RadianceField
from fields.ops.composite import composite, weights_of
from fields.ops.packed import Samples
from fields.render.camera import Camera
from fields.render.occupancy import OccupancyGrid

# A sample that less of the light reaches counts for nothing: a quarter of a level of an 8-bit picture.
THRESHOLD = 1e-3


@dataclass(frozen=True)
class RayColors:
    """What N rays see: color `[N, 3]` on the background, opacity `[N]`, depth `[N]` (the sum of weight times distance: where
    opacity is 1, the mean distance in units of the directions); and the S samples with their weights `[S]`, for losses."""

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    samples: Samples


def render_rays(field: RadianceField, origins: Tensor, directions: Tensor, grid: OccupancyGrid, background: Tensor | float = 1.0,
                step: float = 3**0.5 / 1024, cone: float = 0.0, seed: int | None = None, first_ray: int = 0, most: int = 1024,
                threshold: float = THRESHOLD, time: Tensor | None = None, contract: Callable[[Tensor], Tensor] | None = None) -> RayColors:
    """Colours of rays, with gradients.

    origins, directions `[N, 3]` float32 in the units of the grid's box, directions of unit length; background: a number,
    `[3]` or `[N, 3]`, which may have gradients; step, cone, seed, first_ray, most: see `fields.ops.march` (a seed for
    training, none for pictures); time: `[N]` or None. contract: points `[M, 3]` → the field's coordinates in [0, 1]^3; by
    default the box of the grid's first level becomes the cube. Colour is asked for only where a sample has weight.
    """
    samples = grid.sample(origins, directions, step, cone, seed, first_ray, most)
    points = samples.positions(origins, directions)
    of_sample = {} if time is None else {"time": time.index_select(0, samples.ray_indices)}
    density, feature = field.density(contract(points) if contract else to_cube(points, grid), **of_sample)
    seen = (weights_of(density.detach(), samples, threshold) > 0).nonzero().flatten()
    colors = field.color(feature.index_select(0, seen), directions.index_select(0, samples.ray_indices.index_select(0, seen)))
    # What has no weight neither shows its colour nor gives it a gradient.
    colors = colors.new_zeros(len(samples), colors.shape[-1]).index_copy(0, seen, colors)
    found = composite(density, colors.to(density.dtype), samples, threshold)
    color = found.color + (1.0 - found.opacity)[:, None] * torch.as_tensor(background, dtype=density.dtype, device=density.device)
    return RayColors(color, found.opacity, found.depth, found.weights, samples)


def to_cube(points: Tensor, grid: OccupancyGrid) -> Tensor:
    """Points `[M, 3]` of the grid's first level as coordinates in [0, 1]^3."""
    lower, upper = (torch.tensor(x, dtype=points.dtype, device=points.device) for x in (grid.lower, grid.upper))
    return ((points - lower) / (upper - lower)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class RadianceView:
    """What a camera sees: color `[H, W, 3]` on the background, opacity `[H, W]`, depth `[H, W]`: the mean distance to what is
    seen, infinite where that is nothing."""

    color: Tensor
    opacity: Tensor
    depth: Tensor


@torch.no_grad()
def render_view(field: RadianceField, camera: Camera, grid: OccupancyGrid, background: Tensor | float = 1.0, chunk: int = 4096,
                time: float | None = None, **how) -> RadianceView:
    """A picture, `chunk` rays at a time (which bounds the memory and changes nothing else); `how` goes to `render_rays`."""
    if chunk < 1:
        raise ValueError(f"a chunk has at least one ray, not {chunk}")
    origins, directions = camera.rays(grid.words.device)
    parts = []
    for first in range(0, len(origins), chunk):
        some = slice(first, first + chunk)
        times = None if time is None else torch.full_like(origins[some, 0], time)
        parts.append(render_rays(field, origins[some], directions[some], grid, background, first_ray=first, time=times, **how))
    color, opacity, depth = (torch.cat([getattr(part, name) for part in parts]) for name in ("color", "opacity", "depth"))
    shape = (camera.height, camera.width)
    depth = torch.where(opacity > 1e-3, depth / opacity.clamp(min=1e-3), torch.inf)
    return RadianceView(color.reshape(*shape, -1), opacity.reshape(shape), depth.reshape(shape))
