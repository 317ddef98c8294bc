"""Footprints: the region that a value stands for, and what encoders give for a region instead of a point.

A footprint is the size of a box around a point, with sides along the axes, in units of the coordinates. Coordinates in
the box count alike. A wave has its exact mean over the box; the features of a grid's level fade as its cells become
smaller than the box.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Below so many cells a box is a point, so that nothing is divided by zero.
POINT = 1e-6


class FootprintEncoder(nn.Module):
    """Encoder that can answer for regions: `encoder(coords, footprint)` with a footprint `[..., D]`, as coords."""

    def forward(self, coords: Tensor, footprint: Tensor | None = None) -> Tensor:
        """Features `[..., F]` at coords `[..., D]`, or about their mean over the boxes of that size around them."""
        raise NotImplementedError

    @property
    def fades(self) -> bool:
        """Whether its features tell of the footprint at all."""
        return True


def expand_footprint(footprint: Tensor | float, coords: Tensor) -> Tensor:
    """A footprint of shape `()`, `[...]` or `[..., D]` as one of `[..., D]`, the shape of `coords`.

    Raises ValueError for other shapes, and for sizes that are negative or not finite.
    """
    footprint = torch.as_tensor(footprint, dtype=coords.dtype, device=coords.device)
    if not bool(((footprint >= 0) & footprint.isfinite()).all()):
        raise ValueError("a footprint is a size: finite, and 0 or more")
    if footprint.ndim and footprint.shape == coords.shape[:-1]:
        footprint = footprint[..., None]
    if footprint.ndim and footprint.shape[:-1] != coords.shape[:-1]:
        shape, wanted = list(footprint.shape), list(coords.shape)
        raise ValueError(f"the footprint of coords {wanted} is one number, {wanted[:-1]} or {wanted}, not {shape}")
    return footprint.expand(coords.shape)


def wave_means(half_phases: Tensor) -> Tensor:
    """Factor by which the mean of a wave over a box is smaller than the wave in its middle, `[..., K]`.

    The mean of sin(<m, x> + b) over a box with the sides f is sin(<m, c> + b) times the product of sinc(m_d f_d / 2).
    It is what the integrated encoding of Barron et al. 2021 ("Mip-NeRF", equation 8) is for a Gaussian.

    half_phases: m_d f_d / 2 of each wave and axis, `[..., K, D]`.
    """
    return torch.sinc(half_phases / math.pi).prod(dim=-1)


def fading_weights(cells: Tensor) -> Tensor:
    """Weights of a grid's levels in a mean over a region: 1 for large cells, towards 0 for much smaller ones.

    erf(1 / sqrt(8 s^2 n^2)) for n cells along an axis (Barron et al. 2023, "Zip-NeRF", section 3.1). s^2 = f^2 / 12 is
    the variance of a box with the side f.

    cells: n f, the size of the region in cells of the level, of any shape.
    """
    return torch.erf(math.sqrt(12 / 8) / cells.clamp(min=POINT))


def cells_across(footprint: Tensor, cells: Tensor) -> Tensor:
    """Size `[..., L]` of regions in cells of each of L levels; of boxes with unequal sides the root mean square.

    footprint: `[..., D]`. cells: number of cells of each level along each axis, `[L, D]`; 0 for an axis it lacks.
    """
    squares = (footprint[..., None, :] * cells).square().sum(dim=-1)
    # A square root has no slope at 0, where the weights are constant.
    return squares.clamp(min=POINT**2).div((cells > 0).sum(dim=-1).clamp(min=1)).sqrt()
