"""Expected normals of a radiance field along rays."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fields.models.field import MIN_WEIGHT, RadianceField
from fields.render.volume import render_rays
from fields.sampling.march_settings import MarchSettings

# Opacity from which on a ray shows something that has a normal.
MIN_OPACITY = 0.5


def expected_normals(
    field: RadianceField,
    origins: Tensor,
    directions: Tensor,
    opacity: Tensor,
    *,
    march: MarchSettings,
    time: float | None = None,
    chunk: int = 4096,
) -> Tensor:
    """Mean along each ray of the directions in which density falls, by the samples' weights: `[N, 3]`, unit vectors.

    origins, directions: `[N, 3]` in units of the cube; opacity: `[N]`. Rays of an opacity up to 0.5 get zero.
    march, time: as in `fields.render.volume.render_image`; chunk: rays per call, which bounds the memory.
    """
    normals = torch.zeros_like(origins)
    for rows in (opacity > MIN_OPACITY).nonzero().flatten().split(chunk):
        starts, ahead = origins[rows], directions[rows]
        times = None if time is None else torch.full_like(starts[:, 0], time)
        with torch.no_grad():
            found = render_rays(field, starts, ahead, march=march, time=times)
        heavy = found.weights > MIN_WEIGHT
        samples = found.samples.select(heavy)
        points = samples.positions(starts, ahead).requires_grad_()
        with torch.enable_grad():
            density, _ = field.density(
                field.to_coords(points),
                None if times is None else times[samples.ray_indices],
                ahead[samples.ray_indices] if field.directional_density else None,
            )
            falling = normalize(-torch.autograd.grad(density.sum(), points)[0], dim=-1)
        weighted = found.weights[heavy, None] * falling
        normals[rows] = normalize(torch.zeros_like(ahead).index_add_(0, samples.ray_indices, weighted), dim=-1)
    return normals
