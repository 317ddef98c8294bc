"""Distortion loss of mip-NeRF 360: how spread out the weights along a ray are (Barron et al. 2022, equation 15)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from fields.ops import backends
from fields.ops.packed import Samples, check_packed, padded_by_ray
from fields.ops.ray_kernels import DistortionCall, run


def distortion(weights: Tensor, samples: Samples, backend: backends.Backend = "auto") -> Tensor:
    """Distortion loss of each ray, `[N]`.

    The sum over pairs of samples of `w_i w_j |m_i - m_j|` for weights w and midpoints m, plus a third of the sum of
    `w_i^2` times the interval's length.

    weights: `[S]`, from `compositing_weights`.
    samples: S intervals, in order along each ray. Scale their t first if distances are to count differently, as in
        mip-NeRF 360, which uses inverse distance.

    The native kernels take time in proportion to S. Differentiable once, in weights. Raises ValueError for shapes,
    dtypes or offsets that do not fit together.
    """
    check_packed(samples.offsets, len(samples), weights=weights, t_starts=samples.t_starts, t_ends=samples.t_ends)
    if weights.ndim != 1:
        raise ValueError(f"weights are [S], not {list(weights.shape)}")
    if backends.choose(backend, backends.device_type(weights)) == "torch":
        return distortion_reference(weights, samples)
    return _Distortion.apply(weights, samples.t_starts, samples.t_ends, samples.offsets)


def distortion_reference(weights: Tensor, samples: Samples) -> Tensor:
    """`distortion` in plain torch, from all pairs: memory grows with the square of the longest ray's samples."""
    counts = samples.counts
    longest = int(counts.max()) if len(counts) else 0
    w, m, length = (
        padded_by_ray(values, samples, longest)
        for values in (weights, samples.midpoints, samples.t_ends - samples.t_starts)
    )
    pairs = (w[:, :, None] * w[:, None, :] * (m[:, :, None] - m[:, None, :]).abs()).sum((1, 2))
    return pairs + (w * w * length).sum(1) / 3


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
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
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
