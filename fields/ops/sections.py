"""Opacity of a signed distance along rays: the sections of NeuS between the midpoints of a ray's samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from fields.ops.packed import Samples

# Gap between two samples, as a fraction of their length, up to which they follow one another without a gap.
MAX_GAP = 1e-2


def section_density(distance: Tensor, samples: Samples, sharpness: Tensor | float) -> Tensor:
    """Density `[S]` of samples whose midpoints have the signed distances `[S]`, negative inside.

    The opacity of NeuS (Wang et al. 2021, equation 13) between the distances at the two ends of a sample,

        alpha = max(0, (F(s a) - F(s b)) / F(s a)),      F(x) = 1 / (1 + e^-x),

    as the density that gives this opacity over the sample's length: (log F(s a) - log F(s b)) / length. The distances a
    and b at the ends are those at the midpoints, interpolated linearly. So no gradient of the distance is needed, and
    the light that is left at the end of a section is F(s b) however long the samples are, as long as the distance falls
    and is linear between them: the surface is not displaced by coarse steps. At an end without a neighbour the slope is
    that of the other end; a sample without any neighbour is taken to be met head-on.

    sharpness: s, per unit of length.

    Differentiable in the distance. The source's way of taking a and b from the gradient at the midpoint is its equation
    in section 3.1 of the supplement; `head_on_density` is that with a ray against the gradient.
    """
    if not len(samples):
        return distance.new_zeros(0) * distance
    before, after = _ends(distance, samples)
    absorbed = logsigmoid(sharpness * before) - logsigmoid(sharpness * after)
    return absorbed.clamp(min=0.0) / (samples.t_ends - samples.t_starts)


def head_on_density(distance: Tensor, length: float, sharpness: Tensor | float) -> Tensor:
    """Density `[...]` where rays meet surfaces head-on, over sections of a length: `section_density` without rays."""
    half = 0.5 * length
    absorbed = logsigmoid(sharpness * (distance + half)) - logsigmoid(sharpness * (distance - half))
    return absorbed / length


def neighbours(samples: Samples) -> Tensor:
    """Whether each sample but the last is followed by the next one on the same ray without a gap: `[S - 1]` bool."""
    same_ray = samples.ray_indices[1:] == samples.ray_indices[:-1]
    length = samples.t_ends[:-1] - samples.t_starts[:-1]
    return same_ray & ((samples.t_starts[1:] - samples.t_ends[:-1]).abs() <= MAX_GAP * length)


def with_neighbours(mask: Tensor, samples: Samples) -> Tensor:
    """The samples of a mask `[S]` bool, and those on whose distances their sections depend."""
    wider = mask.clone()
    joined = neighbours(samples)
    wider[1:] |= mask[:-1] & joined
    wider[:-1] |= mask[1:] & joined
    return wider


def _ends(distance: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
    """Distances at the beginnings and the ends of samples, `[S]` each."""
    joined = neighbours(samples)
    length = samples.t_ends - samples.t_starts
    # Between two midpoints, in proportion to the halves of the lengths.
    part = length[:-1] / (length[:-1] + length[1:])
    between = torch.lerp(distance[:-1], distance[1:], part)
    none = joined.new_zeros(1)
    has_before, has_after = torch.cat([none, joined]), torch.cat([joined, none])
    edge = distance.new_zeros(1)
    before, after = torch.cat([edge, between]), torch.cat([between, edge])
    head_on = distance + 0.5 * length
    open_before = torch.where(has_after, 2.0 * distance - after, head_on)
    open_after = torch.where(has_before, 2.0 * distance - before, distance - 0.5 * length)
    return torch.where(has_before, before, open_before), torch.where(has_after, after, open_after)
