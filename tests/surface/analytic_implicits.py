"""Implicit functions of known surfaces, for tests."""

import numpy as np
import torch

from fields.surface.implicit import Extents, Implicit, ImplicitType

RADIUS = 0.3137


def implicit(function, type_: ImplicitType = "distance", extents: Extents = (1.0, 1.0, 1.0), colors=None) -> Implicit:
    return Implicit(
        function=function,
        type=type_,
        colors=colors,
        extents=extents,
        corner=np.zeros(3),
        side=1.0,
        level=0.0,
        value_of=float,
        device=torch.device("cpu"),
    )


def ball(points):
    return (points - 0.5).norm(dim=-1) - RADIUS


def torus(points):
    x, y, z = (points - 0.5).unbind(-1)
    return ((x**2 + z**2).sqrt() - 0.28).square().add(y**2).sqrt() - 0.11


def noise(seed: int = 0, side: int = 16):
    """A smooth random function, whose zero set leaves the box on every side."""
    values = torch.randn(1, 1, side, side, side, generator=torch.Generator().manual_seed(seed))
    return lambda points: torch.nn.functional.grid_sample(
        values, (points * 2 - 1)[None, None, None], align_corners=True
    ).reshape(-1)
