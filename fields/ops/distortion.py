"""How spread out the weights along rays are: the distortion loss of mip-NeRF 360 (Barron et al. 2022, equation 15)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from fields.ops import backends
from fields.ops.packed import Samples, check_packed
from fields.ops.ray_kernels import DistortionCall, run


def distortion(weights: Tensor, samples: Samples, backend: backends.Backend = "auto") -> Tensor:
    """The loss of each ray, `[N]`: the sum over pairs of w_i w_j |m_i - m_j|, plus a third of that of w_i^2 times length.

    weights `[S]` (`weights_of`), samples: S of them, in order along each ray; scale their t first to what distances are
    to count as (mip-NeRF 360: inverse distance). Takes time in proportion to S. Differentiable once, in weights.
    """
    check_packed(samples.offsets, len(samples), weights=weights, t_starts=samples.t_starts, t_ends=samples.t_ends)
    if weights.ndim != 1:
        raise ValueError(f"weights are [S], not {list(weights.shape)}")
    if backends.choose(backend, weights.device.type) == "torch":
        return distortion_reference(weights, samples)
    return _Distortion.apply(weights, samples.t_starts, samples.t_ends, samples.offsets)


def distortion_reference(weights: Tensor, samples: Samples) -> Tensor:
    """The same in plain torch, from pairs of samples: the square of the longest ray's in room."""
    counts = samples.counts
    longest = int(counts.max()) if len(counts) else 0
    place = torch.arange(len(samples), device=weights.device) - samples.offsets[:-1][samples.ray_indices]

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(samples.rays, longest).index_put((samples.ray_indices, place), values)

    w, m = spread(weights), spread(samples.middles)
    pairs = (w[:, :, None] * w[:, None, :] * (m[:, :, None] - m[:, None, :]).abs()).sum((1, 2))
    return pairs + (w * w * spread(samples.t_ends - samples.t_starts)).sum(1) / 3


class _Distortion(Function):
    @staticmethod
    def forward(ctx, weights: Tensor, starts: Tensor, ends: Tensor, offsets: Tensor) -> Tensor:
        weights, starts, ends, offsets = (x.contiguous() for x in (weights, starts, ends, offsets))
        loss = weights.new_empty(len(offsets) - 1)
        run(
            "distortion",
            DistortionCall,
            weights,
            rays=len(loss),
            weights=weights,
            starts=starts,
            ends=ends,
            offsets=offsets,
            loss=loss,
        )
        ctx.save_for_backward(weights, starts, ends, offsets)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        weights, starts, ends, offsets = ctx.saved_tensors
        grad_weights = torch.empty_like(weights)
        run(
            "distortion",
            DistortionCall,
            weights,
            rays=len(offsets) - 1,
            weights=weights,
            starts=starts,
            ends=ends,
            offsets=offsets,
            grad_loss=grad.contiguous(),
            grad_weights=grad_weights,
        )
        return grad_weights, None, None, None
