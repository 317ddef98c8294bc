"""Encodings of directions: real spherical harmonics, and azimuth and elevation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Number of bands that are implemented.
MAX_DEGREE = 4


def spherical_harmonics(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics of all bands below `degree` at unit directions: `[..., 3]` → `[..., degree^2]`.

    They are orthonormal over the sphere, and without the Condon-Shortley phase's minus in the first band, as in
    Müller et al. 2022, section 5.4. ValueError where `degree` is not in 0 to 4; 0 gives no features.
    """
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"spherical harmonics have a degree from 0 to {MAX_DEGREE}, not {degree}")
    x, y, z = directions.unbind(-1)
    found: list[Tensor] = []
    if degree > 0:
        found.append(torch.full_like(x, 0.5 / math.sqrt(math.pi)))
    if degree > 1:
        c = math.sqrt(3.0 / (4.0 * math.pi))
        found += [c * y, c * z, c * x]
    if degree > 2:
        c = 0.5 * math.sqrt(15.0 / math.pi)
        found += [
            c * x * y,
            c * y * z,
            0.25 * math.sqrt(5.0 / math.pi) * (3.0 * z * z - 1.0),
            c * x * z,
            0.5 * c * (x * x - y * y),
        ]
    if degree > 3:
        a, b, c = (
            0.25 * math.sqrt(35.0 / (2.0 * math.pi)),
            0.5 * math.sqrt(105.0 / math.pi),
            0.25 * math.sqrt(21.0 / (2.0 * math.pi)),
        )
        found += [
            a * y * (3.0 * x * x - y * y),
            b * x * y * z,
            c * y * (5.0 * z * z - 1.0),
            0.25 * math.sqrt(7.0 / math.pi) * z * (5.0 * z * z - 3.0),
            c * x * (5.0 * z * z - 1.0),
            0.5 * b * z * (x * x - y * y),
            a * x * (x * x - 3.0 * y * y),
        ]
    return torch.stack(found, dim=-1) if found else directions[..., :0]


def direction_angles(directions: Tensor) -> Tensor:
    """Azimuth and elevation of unit directions, each scaled to [0, 1]: `[..., 3]` → `[..., 2]`.

    Elevation is 0 straight up and 1 straight down. Azimuth does not wrap round, as in the code of CAM's authors (Lee
    et al. 2024).
    """
    x, y, z = directions.unbind(-1)
    azimuth = torch.atan2(y, x) / (2.0 * math.pi) + 0.5
    elevation = 0.5 - torch.atan2(z, torch.sqrt(x * x + y * y)) / math.pi
    return torch.stack([azimuth, elevation], dim=-1)
