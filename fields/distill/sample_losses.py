"""What a radiance field gives at samples along rays, and how far student and teacher are apart there."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.fit.objectives.ray_batches import RayBatch
from fields.models.field import RadianceField
from fields.models.radiance import density_from_log
from fields.ops.composite import composite, compositing_weights
from fields.ops.packed import Samples
from fields.sampling.march_settings import MIN_TRANSMITTANCE

# Logarithms of density are compared within these bounds: all that is below is empty, all that is above is solid. They
# are the authors' -2 and 7, plus log 2, because their cube has sides of 2 and ours of 1.
MIN_LOG_DENSITY = -2.0 + 0.6931
MAX_LOG_DENSITY = 7.0 + 0.6931
# Added under the root of a norm, whose slope is infinite at 0.
TINY = 1e-12


def volume_features_at(field: RadianceField, batch: RayBatch, samples: Samples) -> Tensor:
    """Volume features `[S, 1 + F]` of the field at the samples."""
    rays = samples.ray_indices
    points = samples.positions(batch.origins, batch.directions)
    return field.volume_features(
        field.to_coords(points),
        None if batch.times is None else batch.times[rays],
        batch.directions[rays] if field.directional_density else None,
    )


def density_of_features(features: Tensor) -> Tensor:
    """Density `[S]` of volume features `[S, 1 + F]`."""
    return density_from_log(features[:, 0])


def visible_samples(field: RadianceField, features: Tensor, samples: Samples) -> Tensor:
    """Mask `[S]` of the samples with more weight than the field's images skip."""
    weights = compositing_weights(density_of_features(features), samples, threshold=MIN_TRANSMITTANCE)
    return weights > field.march.min_weight


def pixel_colors(
    field: RadianceField, batch: RayBatch, samples: Samples, *, features: Tensor, colors: Tensor
) -> Tensor:
    """Colors `[N, 3]` of the rays, composited from the samples' volume features and colors."""
    found = composite(density_of_features(features), colors, samples, threshold=MIN_TRANSMITTANCE)
    behind = field.background_color() if batch.background is None else batch.background
    if behind is None:
        raise ValueError("the batch has no background, and the field has not learned one")
    return found.color + (1.0 - found.opacity)[:, None] * behind


def density_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """Difference `[S]` of the logarithms of density of volume features `[S, 1 + F]`.

    The teacher's is clamped to `MIN_LOG_DENSITY` .. `MAX_LOG_DENSITY`. Where it is at such a bound, a student beyond
    the same bound is right too. The authors clamp both, so that a student beyond the wrong bound has no gradient back.
    """
    mine, wanted = student[:, 0], teacher[:, 0]
    mine = torch.where(wanted <= MIN_LOG_DENSITY, mine.clamp(min=MIN_LOG_DENSITY), mine)
    mine = torch.where(wanted >= MAX_LOG_DENSITY, mine.clamp(max=MAX_LOG_DENSITY), mine)
    return mine - wanted.clamp(MIN_LOG_DENSITY, MAX_LOG_DENSITY)


def root_mean_square(difference: Tensor) -> Tensor:
    """Root of the mean square of all elements: the authors' norm, without its dependence on the number of rays."""
    return torch.sqrt((difference**2).sum() / max(1, difference.numel()) + TINY)
