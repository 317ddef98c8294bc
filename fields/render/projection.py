"""Maximum-intensity projection: the brightest sample of a volume along each ray, darker with depth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

# Direction of view in degrees: from above, at a slant.
AZIMUTH = 35.0
ELEVATION = 25.0
# How much darker the back of the volume is shown than its front, so that the two can be told apart.
FADE = 0.5
# Samples evaluated at once.
CHUNK = 1 << 18


def maximum_projection(
    values: Callable[[torch.Tensor], torch.Tensor], extent: tuple[float, float, float], side: int, steps: int
) -> np.ndarray:
    """Project a box along parallel rays, `[side, side, C]` float32.

    values: coords `[N, 3]` in [0, 1] → `[N, C]`, clipped to [0, 1]; outside of the box they are 0.
    extent: size of the box along x, y, z, in any unit.
    side: pixels along each side of the image.
    steps: samples along each ray. A sample counts `1 - FADE * depth` of its value, depth from 0 (near) to 1 (far).
    """
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    # Right, up and forward in the box's axes; z is up, as in a scan of a standing person.
    right = torch.tensor([math.cos(azimuth), math.sin(azimuth), 0.0])
    forward = torch.tensor(
        [
            -math.sin(azimuth) * math.cos(elevation),
            math.cos(azimuth) * math.cos(elevation),
            -math.sin(elevation),
        ]
    )
    up = torch.linalg.cross(right, forward)
    size = torch.tensor(extent, dtype=torch.float32)
    radius = float(size.norm()) / 2
    positions = (torch.arange(side) + 0.5) / side * 2 - 1
    depths = ((torch.arange(steps) + 0.5) / steps * 2 - 1) * radius
    fade = (1 - FADE * (depths / radius + 1) / 2)[:, None]
    strips = []
    for row in range(0, side, rows := max(1, CHUNK // (side * steps))):
        y, x = torch.meshgrid(-positions[row : row + rows], positions, indexing="ij")
        origin = radius * (x[..., None] * right + y[..., None] * up)
        points = (origin[:, :, None, :] + depths[:, None] * forward) / size + 0.5
        inside = ((points >= 0) & (points <= 1)).all(dim=-1)
        samples = torch.zeros(*inside.shape, 1)
        if inside.any():
            found = values(points[inside]).float()
            samples = torch.zeros(*inside.shape, found.shape[-1])
            samples[inside] = found
        strips.append((samples.clamp(0, 1) * fade).amax(dim=2).numpy())
    channels = max(strip.shape[-1] for strip in strips)
    return np.concatenate([np.broadcast_to(strip, (*strip.shape[:2], channels)) for strip in strips])
