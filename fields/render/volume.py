"""Volume rendering: sample rays of a radiance field, query density and, where it shows, color, and composite them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.models.field import RadianceField
from fields.ops import nerfacc_rays
from fields.ops.composite import composite, compositing_weights
from fields.ops.packed import Samples
from fields.ops.sections import with_neighbours
from fields.render.camera import camera_rays
from fields.sampling.march_settings import Contraction, MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from scenes.posed.camera import Camera

# Samples per ray in the first wave without gradients. Each further wave is twice as large, on rays that still have
# light.
FIRST_WAVE = 8
# Density that stands for none, so that an empty sample still has a gradient.
TINY_DENSITY = 1e-30


@dataclass(frozen=True)
class RayColors:
    """What N rays see, and the S samples that light reaches.

    color: `[N, 3]` on the background; opacity: `[N]`.
    depth: `[N]`, sum of weight times distance; where opacity is 1, the mean distance in units of the directions.
    weights, samples: compositing weights `[S]` of the samples, for losses.
    num_queries: number of samples before those without light were dropped.
    kept: `[S]` int64, which of these samples remain; None without gradients.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    samples: Samples
    num_queries: int
    kept: Tensor | None = None


def render_rays(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    *,
    grid: OccupancyGrid | None = None,
    march: MarchSettings | None = None,
    background: Tensor | float = 1.0,
    time: Tensor | None = None,
    seed: int | None = None,
    first_ray: int = 0,
) -> RayColors:
    """Render rays, with gradients if they are enabled.

    origins, directions: `[N, 3]` float32 in units of the grid's box (for `field.grid`, of the scene's cube); directions
        have unit length.
    grid, march: occupancy grid and sampling; None: those of the field.
    background: one value, `[3]` or `[N, 3]`; it may require gradients.
    time: `[N]` in [0, 1] for a moving scene, else None.
    seed: jitters the samples, for training; None: no jitter, for images.
    first_ray: index of the first ray, which its jitter depends on, so that rays may be divided into any batches.

    Color is queried only where a sample has more than `march.min_weight`; with 0, the result is the same as with color
    at every sample. Example: `render_rays(field, origins, directions, background=0.0).color`.
    """
    grid = field.grid if grid is None else grid
    march = field.march if march is None else march
    samples = _sampled(origins, directions, grid, march, seed, first_ray)
    kept, num_queries = None, len(samples)
    rays = _FieldOnRays(field, origins, directions, time, march.contract or _box_to_cube(grid))
    threshold = march.min_transmittance
    if field.has_surface:
        samples, density, kept, visible, feature = _from_distances(rays, samples, march)
    elif torch.is_grad_enabled():
        # Samples without light have no gradient, and most samples are such: a query without gradients finds them.
        with torch.no_grad():
            density, _ = rays.density(samples)
            weights = compositing_weights(density.clamp(min=TINY_DENSITY), samples, threshold=threshold)
            lit = weights > march.min_weight
            kept = lit.nonzero().flatten()
            samples = samples.select(lit, kept)
        density, feature = rays.density(samples)
        visible = None
    else:
        samples, density, visible, feature = _in_waves(rays, samples, march)
    ray_indices = samples.ray_indices if visible is None else samples.ray_indices.index_select(0, visible)
    colors = field.color_of_encoded(feature, field.encode_directions(directions).index_select(0, ray_indices))
    if visible is not None:
        colors = colors.new_zeros(len(samples), colors.shape[-1]).index_copy(0, visible, colors)
    composited_by = composite if march.accelerator is None else nerfacc_rays.composite
    found = composited_by(density, colors.to(density.dtype), samples, threshold=threshold)
    behind = torch.as_tensor(background, dtype=density.dtype, device=density.device)
    color = found.color + (1.0 - found.opacity)[:, None] * behind
    return RayColors(color, found.opacity, found.depth, found.weights, samples, num_queries, kept)


def _sampled(
    origins: Tensor,
    directions: Tensor,
    grid: OccupancyGrid,
    march: MarchSettings,
    seed: int | None,
    first_ray: int,
) -> Samples:
    """The samples of rays by the settings' sampler, or else in the occupied cells of the grid."""
    if march.sampler is None:
        return grid.sample(
            origins,
            directions,
            step=march.step,
            cone=march.cone,
            seed=seed,
            first_ray=first_ray,
            max_samples=march.max_samples,
            box=march.box,
            accelerator=march.accelerator,
        )
    samples = march.sampler(origins, directions, seed, first_ray)
    if march.box is None:
        return samples
    points = samples.positions(origins, directions)
    lower, upper = (torch.tensor(corner, dtype=points.dtype, device=points.device) for corner in march.box)
    return samples.select(((points >= lower) & (points <= upper)).all(dim=-1))


@dataclass(frozen=True)
class _FieldOnRays:
    """A field and the rays along which it is queried."""

    field: RadianceField
    origins: Tensor
    directions: Tensor
    time: Tensor | None
    contract: Contraction

    def coords(self, samples: Samples) -> Tensor:
        """The field's coordinates `[S, 3]` of the samples."""
        return self.contract(samples.positions(self.origins, self.directions))

    def density(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Density `[S]` and feature `[S, F]` of the samples."""
        return self.field.density(
            self.contract(samples.positions(self.origins, self.directions)),
            None if self.time is None else self.time.index_select(0, samples.ray_indices),
            self.directions.index_select(0, samples.ray_indices) if self.field.directional_density else None,
        )


def _in_waves(rays: _FieldOnRays, samples: Samples, march: MarchSettings) -> tuple[Samples, Tensor, Tensor, Tensor]:
    """Samples in front of what hides the others, their densities, which of them are visible, and the features of those.

    A ray's waves depend on that ray alone, so rays may be divided into any batches.
    """
    device = samples.offsets.device
    position = torch.arange(len(samples), device=device) - samples.offsets[:-1].index_select(0, samples.ray_indices)
    absorbed = torch.zeros(samples.num_rays, dtype=torch.float64, device=device)
    lengths = (samples.t_ends - samples.t_starts).double()
    threshold = march.min_transmittance
    # With half the threshold, because these sums may differ in the last bit from those of the compositing.
    opaque = -torch.log(torch.tensor(max(threshold, TINY_DENSITY) * 0.5, dtype=torch.float64))
    left, first, size = torch.arange(len(samples), device=device), 0, FIRST_WAVE
    waves, densities, features = [], [], []
    while len(left):
        near = position.index_select(0, left) < first + size
        wave, left = left[near], left[~near]
        part = Samples(
            samples.t_starts.index_select(0, wave),
            samples.t_ends.index_select(0, wave),
            samples.ray_indices.index_select(0, wave),
            samples.offsets,
        )
        density, feature = rays.density(part)
        absorbed.index_add_(0, part.ray_indices, density.double() * lengths.index_select(0, wave))
        waves.append(wave)
        densities.append(density)
        features.append(feature)
        if threshold > 0:
            left = left[absorbed.index_select(0, samples.ray_indices.index_select(0, left)) <= opaque]
        first, size = first + size, 2 * size
    if not waves:
        density, feature = rays.density(samples)
        return samples, density, torch.arange(0, device=density.device), feature
    order = torch.cat(waves)
    if len(waves) > 1 or len(order) < len(samples):
        mask = torch.zeros(len(samples), dtype=torch.bool, device=order.device)
        mask[order] = True
        reached = samples.select(mask)
        order = torch.argsort(order)
        density = torch.cat(densities).index_select(0, order)
    else:
        reached, density, order = samples, densities[0], None
    weights = compositing_weights(density, reached, threshold=threshold)
    visible = (weights > march.min_weight).nonzero().flatten()
    rows = visible if order is None else order.index_select(0, visible)
    feature = features[0] if len(features) == 1 else torch.cat(features)
    return reached, density, visible, feature.index_select(0, rows)


def _from_distances(
    rays: _FieldOnRays, samples: Samples, march: MarchSettings
) -> tuple[Samples, Tensor, Tensor | None, Tensor | None, Tensor]:
    """As in `render_rays`, for a field with a surface: samples, their densities, which are kept and which are visible.

    The opacity of a sample follows from the distances at its neighbours too. With gradients, the samples that light
    reaches and their neighbours are queried once more; the others keep the distances that were found without.
    """
    field, threshold = rays.field, march.min_transmittance
    with torch.no_grad():
        coords = rays.coords(samples)
        distance, feature = field.distance(coords)
        density = field.ray_density(distance, samples, coords)
        weights = compositing_weights(density.clamp(min=TINY_DENSITY), samples, threshold=threshold)
        lit = weights > march.min_weight
    if not torch.is_grad_enabled():
        visible = lit.nonzero().flatten()
        seen = field.surface_feature(feature.index_select(0, visible), coords.index_select(0, visible))
        return samples, density, None, visible, seen
    queried = with_neighbours(lit, samples)
    rows, kept = queried.nonzero().flatten(), lit.nonzero().flatten()
    again, feature = field.distance(coords.index_select(0, rows))
    density = field.ray_density(distance.index_copy(0, rows, again), samples, coords).index_select(0, kept)
    feature = feature.index_select(0, lit[queried].nonzero().flatten())
    return samples.select(lit, kept), density, kept, None, field.surface_feature(feature, coords.index_select(0, kept))


def _box_to_cube(grid: OccupancyGrid) -> Contraction:
    """The map of points `[M, 3]` in the box of the grid's first cascade to coordinates in [0, 1]^3."""

    def coords(points: Tensor) -> Tensor:
        lower, upper = (torch.tensor(x, dtype=points.dtype, device=points.device) for x in (grid.lower, grid.upper))
        return ((points - lower) / (upper - lower)).clamp(0.0, 1.0)

    return coords


@dataclass(frozen=True)
class RadianceView:
    """An image of a radiance field.

    color: `[H, W, 3]` on the background; opacity: `[H, W]`.
    depth: `[H, W]`, mean distance to what is visible; infinite where that is nothing.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor


def render_view(
    field: RadianceField,
    camera: Camera,
    *,
    grid: OccupancyGrid | None = None,
    march: MarchSettings | None = None,
    background: Tensor | float = 1.0,
    time: float | None = None,
    seed: int | None = None,
    chunk: int = 4096,
) -> RadianceView:
    """Render the image of a camera whose pose is in units of the grid's box; for the rest see `render_image`."""
    grid = field.grid if grid is None else grid
    origins, directions = camera_rays(camera, grid.words.device)
    return render_image(
        field,
        origins,
        directions,
        (camera.intrinsics.height, camera.intrinsics.width),
        grid=grid,
        march=march,
        background=background,
        time=time,
        seed=seed,
        chunk=chunk,
    )


@torch.no_grad()
def render_image(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    shape: tuple[int, int],
    *,
    grid: OccupancyGrid | None = None,
    march: MarchSettings | None = None,
    background: Tensor | float = 1.0,
    time: float | None = None,
    seed: int | None = None,
    chunk: int = 4096,
) -> RadianceView:
    """Render an image from the rays `[H * W, 3]` of any camera.

    shape: H and W.
    time: in [0, 1] for a moving scene, else None.
    chunk: rays per call of `render_rays`, which bounds the memory and does not change the image. ValueError below 1.

    The other arguments are those of `render_rays`.
    """
    if chunk < 1:
        raise ValueError(f"a chunk has at least one ray, not {chunk}")
    parts = []
    for first in range(0, len(origins), chunk):
        rows = slice(first, first + chunk)
        found = render_rays(
            field,
            origins[rows],
            directions[rows],
            grid=grid,
            march=march,
            background=background,
            time=None if time is None else torch.full_like(origins[rows, 0], time),
            seed=seed,
            first_ray=first,
        )
        parts.append((found.color, found.opacity, found.depth))
    color, opacity, depth = (torch.cat(part) for part in zip(*parts))
    depth = torch.where(opacity > 1e-3, depth / opacity.clamp(min=1e-3), torch.inf)
    return RadianceView(color.reshape(*shape, -1), opacity.reshape(shape), depth.reshape(shape))
