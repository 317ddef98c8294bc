"""A number in [0, 1) for each ray and a seed: the same on every machine, backend and cut into pieces."""

from __future__ import annotations

import torch
from torch import Tensor


def jitter_of(rays: int, first_ray: int, seed: int, like: Tensor) -> Tensor:
    """`[rays]` in the dtype and on the device of `like`: 24 bits, by the mixing "lowbias32" of C. Wellons."""
    index = torch.arange(first_ray, first_ray + rays, dtype=torch.int64, device=like.device) & 0xFFFFFFFF
    salt = _mixed(torch.tensor((seed + 0x9E3779B9) & 0xFFFFFFFF))
    return (_mixed(index ^ int(salt)) >> 8).to(like.dtype) * 2.0**-24


def _mixed(h: Tensor) -> Tensor:
    h = h ^ (h >> 16)
    h = (h * 0x7FEB352D) & 0xFFFFFFFF
    h = h ^ (h >> 15)
    h = (h * 0x846CA68B) & 0xFFFFFFFF
    return h ^ (h >> 16)
