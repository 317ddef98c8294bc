"""Move points onto the surface of a field: guarded Newton steps, and a line search for unsigned distances."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fields.render.sphere_trace import TETRAHEDRON, Distance, in_chunks
from fields.surface.implicit import Implicit

# Newton steps.
STEPS = 3
# Samples along the normal in a line search.
PROBES = 9


@torch.no_grad()
def gradients(function: Distance, points: Tensor, width: float) -> Tensor:
    """Gradients `[N, 3]` from four values on a tetrahedron of radius `width` around each point."""
    result = torch.zeros_like(points)
    for corner in TETRAHEDRON:
        corner = torch.tensor(corner, dtype=points.dtype, device=points.device)
        result += in_chunks(function, points + corner * (width / 3**0.5))[:, None] * corner
    # The corners' products sum to 4/3 of the identity, over a unit tetrahedron's radius.
    return result * (3**0.5 / 4 / width)


@torch.no_grad()
def project(function: Distance, points: Tensor, width: float, reach: float, *, steps: int = STEPS) -> Tensor:
    """Move points `[N, 3]` to the zero set of `function`, by at most `reach`.

    A Newton step is taken only where it brings the value nearer to zero; other points stay where they are. width: see
    `gradients`.
    """
    start, value = points, in_chunks(function, points)
    for _ in range(steps):
        gradient = gradients(function, points, width)
        step = value[:, None] * gradient / (gradient * gradient).sum(dim=-1, keepdim=True).clamp(min=1e-12)
        length = step.norm(dim=-1, keepdim=True)
        moved = points - step * (reach / length.clamp(min=1e-20)).clamp(max=1.0)
        away = moved - start
        moved = start + away * (reach / away.norm(dim=-1, keepdim=True).clamp(min=1e-20)).clamp(max=1.0)
        found = in_chunks(function, moved)
        better = found.abs() < value.abs()
        points, value = torch.where(better[:, None], moved, points), torch.where(better, found, value)
    return points


@torch.no_grad()
def to_minimum(function: Distance, points: Tensor, normals: Tensor, reach: float) -> Tensor:
    """Move points `[N, 3]` against their normals, by up to `reach`, to the minimum of `function`.

    The minimum is that of a parabola through the lowest of nine samples and its neighbours.
    """
    along = torch.linspace(0, reach, PROBES, device=points.device)
    values = torch.stack([in_chunks(function, points - normals * s) for s in along])
    best = values.argmin(dim=0).clamp(1, PROBES - 2)
    left, middle, right = (values.gather(0, (best + k)[None])[0] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = torch.where(
        bend > 1e-12, (0.5 * (left - right) / bend.clamp(min=1e-12)).clamp(-1, 1), torch.zeros_like(bend)
    )
    return points - normals * ((best + offset) * (reach / (PROBES - 1)))[:, None]


@torch.no_grad()
def nearest_crossing(function: Distance, points: Tensor, normals: Tensor, reach: float) -> Tensor:
    """Distance `[N]` from points `[N, 3]` to the nearest sign change along their normals, to either side.

    It is at most `reach`, also where there is no sign change.
    """
    along = torch.linspace(-reach, reach, PROBES, device=points.device)
    values = torch.stack([in_chunks(function, points + normals * s) for s in along])
    low, high = values[:-1], values[1:]
    at = along[:-1, None] + (along[1] - along[0]) * (low / torch.where(low == high, torch.ones_like(low), low - high))
    crossed = (low < 0) != (high < 0)
    return torch.where(crossed, at.abs(), torch.full_like(at, reach)).amin(dim=0)


def on_surface(implicit: Implicit, positions: np.ndarray, width: float, reach: float) -> np.ndarray:
    """Move positions `[n, 3]` onto the surface of an implicit of the type "distance" or "values", as `project` does."""
    points = torch.from_numpy(positions).float().to(implicit.device)
    return project(implicit.function, points, width, reach).cpu().numpy().astype(np.float64)


def normals_at(implicit: Implicit, positions: np.ndarray, width: float) -> np.ndarray:
    """Unit normals `[n, 3]` float32 at positions `[n, 3]`; zero where the field is constant. width: see `gradients`."""
    points = torch.from_numpy(positions).float().to(implicit.device)
    return torch.nn.functional.normalize(gradients(implicit.function, points, width), dim=-1, eps=1e-20).cpu().numpy()


@torch.no_grad()
def colors_at(implicit: Implicit, positions: np.ndarray) -> np.ndarray | None:
    """Colors at positions `[n, 3]`, sRGB `[n, 3]` float32 in [0, 1]; None if the field has no colors."""
    if implicit.colors is None:
        return None
    points = torch.from_numpy(positions).float().to(implicit.device)
    return in_chunks(implicit.colors, points).clamp(0, 1).cpu().numpy()
