"""Contraction of unbounded space into a cube, and ray intervals that suit it (Barron et al. 2022, mip-NeRF 360)."""

from __future__ import annotations

import torch
from torch import Tensor

# The distance that stands for infinity, as a multiple of the near end or of the knee.
FAR_RATIO = 1e6


def contract(points: Tensor, norm: str = "max") -> Tensor:
    """Map points `[..., 3]` of all space into [0, 1]^3. ValueError for an unknown norm.

    The unit cube (its inscribed ball with norm "euclid") becomes the middle half of each axis without distortion. This
    is equation 10 of mip-NeRF 360, mapped from [-2, 2] to [0, 1]. Norm "max" measures a point by its largest coordinate
    (Reiser et al. 2023), so that the whole cube is used.
    """
    centred = points * 2.0 - 1.0
    far = _length(centred, norm).clamp(min=1.0)
    return (centred * ((2.0 - 1.0 / far) / far) + 2.0) * 0.25


def uncontract(coords: Tensor, norm: str = "max") -> Tensor:
    """Inverse of `contract`: coords `[..., 3]` in [0, 1] to points.

    The outer faces of the cube are infinitely far away; they map to a distance of 10^6.
    """
    scaled = coords * 4.0 - 2.0
    length = _length(scaled, norm).clamp(min=1.0)
    far = 1.0 / (2.0 - length).clamp(min=1.0 / FAR_RATIO)
    return (scaled / length * far + 1.0) * 0.5


def disparity_edges(near: Tensor, far: Tensor, count: int) -> Tensor:
    """Edges `[N, count + 1]` of intervals on N rays that have equal length in 1 / distance (mip-NeRF 360, section 5).

    near, far: `[N]`, above zero; far may be infinite, the last edge is then 10^6 times near.

    Raises ValueError for other shapes or a count below 1.
    """
    if count < 1 or near.shape != far.shape or near.ndim != 1:
        raise ValueError(
            f"near and far are [N] and count at least 1, not {list(near.shape)}, {list(far.shape)} and {count}"
        )
    fraction = torch.linspace(0.0, 1.0, count + 1, dtype=near.dtype, device=near.device)
    last = torch.minimum(far, FAR_RATIO * near)[:, None]
    return 1.0 / ((1.0 - fraction) / near[:, None] + fraction / last)


def spaced_edges(near: Tensor, far: Tensor, count: int, knee: float) -> Tensor:
    """Edges `[N, count + 1]` of intervals on N rays, for scenes with a middle and a distant surrounding.

    Up to the distance `knee` they have equal lengths, beyond it equal lengths in 1 / distance. The intervals on both
    sides of the knee have the same length. near and far are as in `disparity_edges`, but near may be zero.

    Raises ValueError for other shapes, a count below 1 or a knee that is not positive.
    """
    if count < 1 or near.shape != far.shape or near.ndim != 1 or not knee > 0.0:
        raise ValueError(
            f"near and far are [N], count at least 1 and knee above zero, "
            f"not {list(near.shape)}, {list(far.shape)}, {count} and {knee}"
        )

    def warped(t: Tensor) -> Tensor:
        return torch.where(t < knee, t / knee, 2.0 - knee / t.clamp(min=knee))

    fraction = torch.linspace(0.0, 1.0, count + 1, dtype=near.dtype, device=near.device)
    first, last = warped(near)[:, None], warped(far.clamp(max=FAR_RATIO * knee))[:, None]
    at = first + fraction * (last - first)
    return torch.where(at < 1.0, at * knee, knee / (2.0 - at).clamp(min=1.0 / FAR_RATIO))


def _length(points: Tensor, norm: str) -> Tensor:
    if norm == "max":
        return points.abs().amax(dim=-1, keepdim=True)
    if norm == "euclid":
        return points.norm(dim=-1, keepdim=True)
    raise ValueError(f"a norm is max or euclid, not {norm!r}")
