"""Pseudo-random jitter of rays that depends on the ray and a seed alone, not on machine, backend or batch."""

from __future__ import annotations

import torch
from torch import Tensor


def ray_jitter(num_rays: int, first_ray: int, seed: int, like: Tensor) -> Tensor:
    """One value in [0, 1) for each of the rays `first_ray`, `first_ray + 1`, ...: `[num_rays]`.

    The values have 24 random bits, the dtype of `like` (exact in float32) and its device. The hash is "lowbias32" by
    C. Wellons, as in csrc/common/rays.h.
    """
    index = torch.arange(first_ray, first_ray + num_rays, dtype=torch.int64, device=like.device) & 0xFFFFFFFF
    salt = _hash32(torch.tensor((seed + 0x9E3779B9) & 0xFFFFFFFF))
    return (_hash32(index ^ int(salt)) >> 8).to(like.dtype) * 2.0**-24


def _hash32(h: Tensor) -> Tensor:
    h = h ^ (h >> 16)
    h = (h * 0x7FEB352D) & 0xFFFFFFFF
    h = h ^ (h >> 15)
    h = (h * 0x846CA68B) & 0xFFFFFFFF
    return h ^ (h >> 16)
