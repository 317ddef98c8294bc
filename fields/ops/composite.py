"""Emission and absorption along packed rays: weights, colours, opacity and depth.

Max 1995; Mildenhall et al. 2020, equation 3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from fields.ops import backends
from fields.ops.packed import Samples, check_packed, ray_indices_of
from fields.ops.ray_kernels import CompositeCall, run


class Composited(NamedTuple):
    """Sums along N rays with S samples.

    color: `[N, C]`, on a black background.
    opacity: `[N]`, in [0, 1].
    depth: `[N]`, the sum of weights times interval midpoints. Divide by the opacity for the mean depth.
    weights: `[S]`, the contribution of each sample.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor


def composite(
    density: Tensor,
    colors: Tensor,
    samples: Samples,
    *,
    threshold: float = 0.0,
    backend: backends.Backend = "auto",
) -> Composited:
    """Accumulate colour, opacity and depth along each ray.

    density: `[S]`, per unit of t.
    colors: `[S, C]`.
    samples: S intervals on N rays. All tensors have one dtype, float32 or float64.
    threshold: fraction of the light, in [0, 1]. A sample that receives less than this gets weight zero and no gradient.

    A sample transmits the fraction `exp(-density * length)` of the light; its weight is the light that reaches it and
    is not transmitted. A ray without samples has colour, opacity and depth zero.

    Differentiable once, in density and colors. Raises ValueError for shapes, dtypes or offsets that do not fit
    together.
    """
    check_packed(
        samples.offsets, len(samples), density=density, colors=colors, t_starts=samples.t_starts, t_ends=samples.t_ends
    )
    if density.ndim != 1 or colors.ndim != 2:
        raise ValueError(f"density is [S] and colors [S, C], not {list(density.shape)} and {list(colors.shape)}")
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"the threshold is a fraction of light between 0 and 1, not {threshold}")
    if backends.choose(backend, backends.device_type(density)) == "torch":
        return composite_reference(density, colors, samples, threshold)
    return Composited(*_Composite.apply(density, colors, samples.t_starts, samples.t_ends, samples.offsets, threshold))


def compositing_weights(
    density: Tensor, samples: Samples, *, threshold: float = 0.0, backend: backends.Backend = "auto"
) -> Tensor:
    """Weights `[S]` of the samples, as in `composite`, for losses on the weights alone."""
    return composite(density, density.new_zeros(len(density), 0), samples, threshold=threshold, backend=backend).weights


def composite_reference(density: Tensor, colors: Tensor, samples: Samples, threshold: float) -> Composited:
    """`composite` in plain torch. Cumulative sums run over all rays at once, and therefore in double precision."""
    indices = ray_indices_of(samples.offsets, len(samples))
    absorbed = density.double() * (samples.t_ends - samples.t_starts).double()
    before = torch.cat([absorbed.new_zeros(1), absorbed.cumsum(0)])
    light = torch.exp(before[samples.offsets[:-1]][indices] - before[:-1])
    weights = torch.where(light >= threshold, light * -torch.expm1(-absorbed), 0.0)

    def summed_by_ray(values: Tensor) -> Tensor:
        return values.new_zeros(samples.num_rays, *values.shape[1:]).index_add(0, indices, values).to(density.dtype)

    return Composited(
        summed_by_ray(weights[:, None] * colors.double()),
        summed_by_ray(weights),
        summed_by_ray(weights * samples.midpoints.double()),
        weights.to(density.dtype),
    )


class _Composite(Function):
    @staticmethod
    def forward(ctx, density: Tensor, colors: Tensor, starts: Tensor, ends: Tensor, offsets: Tensor, threshold: float):
        density, colors, starts, ends, offsets = (x.contiguous() for x in (density, colors, starts, ends, offsets))
        rays = len(offsets) - 1
        color, weights = density.new_empty(rays, colors.shape[1]), torch.empty_like(density)
        opacity, depth = density.new_empty(rays), density.new_empty(rays)
        ctx.call = {"rays": rays, "channels": colors.shape[1], "threshold": threshold}
        run(
            "composite_forward",
            CompositeCall,
            density,
            density=density,
            colors=colors,
            starts=starts,
            ends=ends,
            offsets=offsets,
            color=color,
            opacity=opacity,
            depth=depth,
            weights=weights,
            **ctx.call,
        )
        ctx.save_for_backward(density, colors, starts, ends, offsets, weights)
        ctx.set_materialize_grads(False)
        return color, opacity, depth, weights

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        density, colors, starts, ends, offsets, weights = ctx.saved_tensors
        by_color, by_opacity, by_depth, by_weights = (None if g is None else g.contiguous() for g in grads)
        grad_density = torch.empty_like(density)
        grad_colors = torch.empty_like(colors) if ctx.needs_input_grad[1] else None
        run(
            "composite_backward",
            CompositeCall,
            density,
            density=density,
            colors=colors,
            starts=starts,
            ends=ends,
            offsets=offsets,
            weights=weights,
            grad_color=by_color,
            grad_opacity=by_opacity,
            grad_depth=by_depth,
            grad_weights=by_weights,
            grad_density=grad_density,
            grad_colors=grad_colors,
            **ctx.call,
        )
        return grad_density if ctx.needs_input_grad[0] else None, grad_colors, None, None, None, None
