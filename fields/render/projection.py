"""A volume seen from outside: the brightest sample along each ray, darker with depth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

# The camera looks along a slant from above; degrees.
AZIMUTH, ELEVATION = 35.0, 25.0
# The back of the volume is shown this much darker, which tells front from back.
FADE = 0.5


def project(
    values: Callable[[torch.Tensor], torch.Tensor], extent: tuple[float, float, float], side: int, steps: int
) -> np.ndarray:
    """A maximum-intensity projection `[side, side, C]` float32 of a box, parallel rays.

    `values` gives `[N, C]` at coords `[N, 3]` in [0, 1]; `extent` is the size of the box along x, y, z. Outside is 0. A
    sample counts `1 - FADE * depth` of itself, depth from 0 (near) to 1 (far).
    """
    turn, lift = math.radians(AZIMUTH), math.radians(ELEVATION)
    # Right, up and forward in the box's axes; z is up, as a person holds a scan.
    right = torch.tensor([math.cos(turn), math.sin(turn), 0.0])
    forward = torch.tensor([-math.sin(turn) * math.cos(lift), math.cos(turn) * math.cos(lift), -math.sin(lift)])
    up = torch.linalg.cross(right, forward)
    size = torch.tensor(extent, dtype=torch.float32)
    radius = float(size.norm()) / 2
    places = (torch.arange(side) + 0.5) / side * 2 - 1
    depths = ((torch.arange(steps) + 0.5) / steps * 2 - 1) * radius
    strips = []
    for row in range(0, side, rows := max(1, (1 << 18) // (side * steps))):
        y, x = torch.meshgrid(-places[row : row + rows], places, indexing="ij")
        origin = radius * (x[..., None] * right + y[..., None] * up)
        points = (origin[:, :, None, :] + depths[:, None] * forward) / size + 0.5
        inside = ((points >= 0) & (points <= 1)).all(dim=-1)
        seen = torch.zeros(*inside.shape, 1)
        if inside.any():
            found = values(points[inside]).float()
            seen = torch.zeros(*inside.shape, found.shape[-1])
            seen[inside] = found
        fade = 1 - FADE * (depths / radius + 1) / 2
        brightest = (seen.clamp(0, 1) * fade[:, None]).amax(dim=2).numpy()
        strips.append(brightest)
    channels = max(strip.shape[-1] for strip in strips)
    return np.concatenate([np.broadcast_to(strip, (*strip.shape[:2], channels)) for strip in strips])
