"""Rays through a radiance field: samples in occupied cells, density, colour where it can be seen, and what gathers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.models.field import RadianceField
from fields.ops.composite import composite, compositing_weights
from fields.ops.packed import Samples
from fields.render.camera import Camera
from fields.sampling.occupancy import Box, OccupancyGrid

# A sample that less of the light reaches counts for nothing: a quarter of a level of an 8-bit picture.
THRESHOLD = 1e-3
# Where no gradients are wanted, a ray's first so many samples are looked at, then twice as many more where light gets through, and so on.
FIRST_WAVE = 8

Contraction = Callable[[Tensor], Tensor]
Sampler = Callable[[Tensor, Tensor, "int | None", int], Samples]


@dataclass(frozen=True)
class RayColors:
    """What N rays see: color `[N, 3]` on the background, opacity `[N]`, depth `[N]` (the sum of weight times distance: where
    opacity is 1, the mean distance in units of the directions); and the S samples that light reaches with their weights `[S]`, for
    losses. looked: in how many places density was asked for, once or more often. kept `[S]`: which of the samples that were begun with they are,
    where gradients are wanted."""

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    samples: Samples
    looked: int
    kept: Tensor | None = None


def render_rays(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    grid: OccupancyGrid,
    background: Tensor | float = 1.0,
    step: float = 3**0.5 / 1024,
    cone: float = 0.0,
    seed: int | None = None,
    first_ray: int = 0,
    most: int = 1024,
    threshold: float = THRESHOLD,
    time: Tensor | None = None,
    contract: Contraction | None = None,
    box: Box | None = None,
    sampler: Sampler | None = None,
    least: float = 0.0,
) -> RayColors:
    """Colours of rays, with gradients.

    origins, directions `[N, 3]` float32 in the units of the grid's box, directions of unit length; background: a number,
    `[3]` or `[N, 3]`, which may have gradients; step, cone, seed, first_ray, most: see `fields.ops.march` (a seed for
    training, none for pictures); time: `[N]` or None. contract: points `[M, 3]` → the field's coordinates in [0, 1]^3; by
    default the box of the grid's first level becomes the cube. Samples of a weight up to `least` are left out in training, and have
    no colour in pictures; with 0 neither changes anything, as colour is asked for only where a sample has weight.
    """
    if sampler is None:
        samples = grid.sample(origins, directions, step, cone, seed, first_ray, most, box)
    else:
        samples = sampler(origins, directions, seed, first_ray)
        if box is not None:
            points = samples.positions(origins, directions)
            lower, upper = (torch.tensor(corner, dtype=points.dtype, device=points.device) for corner in box)
            samples = samples.select(((points >= lower) & (points <= upper)).all(dim=-1))
    kept, looked = None, len(samples)
    asked = _Asked(field, origins, directions, time, contract or (lambda points: to_cube(points, grid)))
    if torch.is_grad_enabled():
        # What no light reaches has no gradient either, and most samples cost little more than a look.
        with torch.no_grad():
            density, _ = asked.density(samples)
            # (where there is no density at all there may still be a gradient)
            lit = compositing_weights(density.clamp(min=1e-30), samples, threshold=threshold) > least
            samples, kept = samples.select(lit), lit.nonzero().flatten()
        density, feature = asked.density(samples)
        seen = None
    else:
        samples, density, seen, feature = _in_waves(asked, samples, threshold, least)
    of_ray = samples.ray_indices if seen is None else samples.ray_indices.index_select(0, seen)
    if hasattr(field, "encode_directions"):
        colors = field.color_of(feature, field.encode_directions(directions).index_select(0, of_ray))
    else:
        colors = field.color(feature, directions.index_select(0, of_ray))
    if seen is not None:
        colors = colors.new_zeros(len(samples), colors.shape[-1]).index_copy(0, seen, colors)
    found = composite(density, colors.to(density.dtype), samples, threshold=threshold)
    color = found.color + (1.0 - found.opacity)[:, None] * torch.as_tensor(
        background, dtype=density.dtype, device=density.device
    )
    return RayColors(color, found.opacity, found.depth, found.weights, samples, looked, kept)


@dataclass(frozen=True)
class _Asked:
    """A field and the rays along which it is asked."""

    field: RadianceField
    origins: Tensor
    directions: Tensor
    time: Tensor | None
    contract: Contraction

    def density(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Density `[S]` and feature `[S, F]` of the samples."""
        more = {} if self.time is None else {"time": self.time.index_select(0, samples.ray_indices)}
        if getattr(self.field, "sees_directions", False):
            more["directions"] = self.directions.index_select(0, samples.ray_indices)
        return self.field.density(self.contract(samples.positions(self.origins, self.directions)), **more)


def _in_waves(
    asked: _Asked, samples: Samples, threshold: float, least: float
) -> tuple[Samples, Tensor, Tensor, Tensor]:
    """Samples in front of what hides the others, their density, and which of them are seen with their features.

    A wave of a ray depends on that ray alone, so rays may be cut into any batches.
    """
    place = torch.arange(len(samples), device=samples.offsets.device) - samples.offsets[:-1].index_select(
        0, samples.ray_indices
    )
    absorbed = torch.zeros(samples.num_rays, dtype=torch.float64, device=samples.offsets.device)
    lengths = (samples.t_ends - samples.t_starts).double()
    # Half of the threshold: sums here may differ in the last bit from those that decide.
    darkest = -torch.log(torch.tensor(max(threshold, 1e-30) * 0.5, dtype=torch.float64))
    left, first, size = torch.arange(len(samples), device=place.device), 0, FIRST_WAVE
    chosen, densities, features = [], [], []
    while len(left):
        near = place.index_select(0, left) < first + size
        wave, left = left[near], left[~near]
        some = Samples(
            *(x.index_select(0, wave) for x in (samples.t_starts, samples.t_ends, samples.ray_indices)), samples.offsets
        )
        density, feature = asked.density(some)
        absorbed.index_add_(0, some.ray_indices, density.double() * lengths.index_select(0, wave))
        chosen.append(wave)
        densities.append(density)
        features.append(feature)
        if threshold > 0:
            left = left[absorbed.index_select(0, samples.ray_indices.index_select(0, left)) <= darkest]
        first, size = first + size, 2 * size
    if not chosen:
        density, feature = asked.density(samples)
        return samples, density, torch.arange(0, device=density.device), feature
    order = torch.cat(chosen)
    if len(chosen) > 1 or len(order) < len(samples):
        which = torch.zeros(len(samples), dtype=torch.bool, device=order.device)
        which[order] = True
        kept = samples.select(which)
        order = torch.argsort(order)
        density = torch.cat(densities).index_select(0, order)
    else:
        kept, density, order = samples, densities[0], None
    seen = (compositing_weights(density, kept, threshold=threshold) > least).nonzero().flatten()
    rows = seen if order is None else order.index_select(0, seen)
    return kept, density, seen, (features[0] if len(features) == 1 else torch.cat(features)).index_select(0, rows)


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


def render_view(
    field: RadianceField,
    camera: Camera,
    grid: OccupancyGrid,
    background: Tensor | float = 1.0,
    chunk: int = 4096,
    time: float | None = None,
    **how,
) -> RadianceView:
    """A picture, `chunk` rays at a time (which bounds the memory and changes nothing else); `how` goes to `render_rays`."""
    origins, directions = camera.rays(grid.words.device)
    return render_picture(
        field, origins, directions, (camera.height, camera.width), grid, background, chunk, time, **how
    )


@torch.no_grad()
def render_picture(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    shape: tuple[int, int],
    grid: OccupancyGrid,
    background: Tensor | float = 1.0,
    chunk: int = 4096,
    time: float | None = None,
    **how,
) -> RadianceView:
    """`render_view` of rays `[H * W, 3]` from any camera; shape: H and W."""
    if chunk < 1:
        raise ValueError(f"a chunk has at least one ray, not {chunk}")
    parts = []
    for first in range(0, len(origins), chunk):
        some = slice(first, first + chunk)
        times = None if time is None else torch.full_like(origins[some, 0], time)
        found = render_rays(
            field, origins[some], directions[some], grid, background, first_ray=first, time=times, **how
        )
        parts.append((found.color, found.opacity, found.depth))
    color, opacity, depth = (torch.cat(part) for part in zip(*parts))
    depth = torch.where(opacity > 1e-3, depth / opacity.clamp(min=1e-3), torch.inf)
    return RadianceView(color.reshape(*shape, -1), opacity.reshape(shape), depth.reshape(shape))
