"""All of space in a cube, and samples for it: what unbounded scenes are fitted in (Barron et al. 2022, mip-NeRF 360)."""

from __future__ import annotations

import torch
from torch import Tensor


def contract(points: Tensor, norm: str = "max") -> Tensor:
    """Points `[..., 3]` anywhere → `[..., 3]` in [0, 1]; the unit cube (its ball with norm "euclid") becomes the middle half, unbent.

    Equation 10 of mip-NeRF 360, from [-2, 2] to [0, 1]; norm "max" takes the largest coordinate for the length (Reiser et al. 2023),
    so that all of the cube is used.
    """
    centred = points * 2.0 - 1.0
    far = _length(centred, norm).clamp(min=1.0)
    return (centred * ((2.0 - 1.0 / far) / far) + 2.0) * 0.25


def expand(coords: Tensor, norm: str = "max") -> Tensor:
    """What `contract` undoes: coords `[..., 3]` in [0, 1] → points. The cube's outer faces are infinitely far, and become 10^6."""
    bent = coords * 4.0 - 2.0
    length = _length(bent, norm).clamp(min=1.0)
    far = 1.0 / (2.0 - length).clamp(min=1e-6)
    return (bent / length * far + 1.0) * 0.5


def disparity_edges(near: Tensor, far: Tensor, count: int) -> Tensor:
    """Edges `[N, count + 1]` of `count` intervals on N rays that are of equal length in 1 / distance (section 5 of mip-NeRF 360).

    near, far `[N]` above zero, far may be infinite; the last edge of such a ray is 10^6 times its near.
    """
    if count < 1 or near.shape != far.shape or near.ndim != 1:
        raise ValueError(
            f"near and far are [N] and count at least 1, not {list(near.shape)}, {list(far.shape)} and {count}"
        )
    share = torch.linspace(0.0, 1.0, count + 1, dtype=near.dtype, device=near.device)
    last = torch.minimum(far, 1e6 * near)[:, None]
    return 1.0 / ((1.0 - share) / near[:, None] + share / last)


def spaced_edges(near: Tensor, far: Tensor, count: int, knee: float) -> Tensor:
    """Edges `[N, count + 1]` of `count` intervals on N rays: of equal length up to the distance `knee`, in 1 / distance beyond it, and of
    the same length on both sides of it. near, far as in `disparity_edges`; near may be zero."""
    if count < 1 or near.shape != far.shape or near.ndim != 1 or not knee > 0.0:
        raise ValueError(
            f"near and far are [N], count at least 1 and knee above zero, not {list(near.shape)}, {list(far.shape)}, {count} and {knee}"
        )

    def bent(t: Tensor) -> Tensor:
        return torch.where(t < knee, t / knee, 2.0 - knee / t.clamp(min=knee))

    share = torch.linspace(0.0, 1.0, count + 1, dtype=near.dtype, device=near.device)
    first, last = bent(near)[:, None], bent(far.clamp(max=1e6 * knee))[:, None]
    at = first + share * (last - first)
    return torch.where(at < 1.0, at * knee, knee / (2.0 - at).clamp(min=1e-6))


def _length(points: Tensor, norm: str) -> Tensor:
    if norm == "max":
        return points.abs().amax(dim=-1, keepdim=True)
    if norm == "euclid":
        return points.norm(dim=-1, keepdim=True)
    raise ValueError(f"a norm is max or euclid, not {norm!r}")
