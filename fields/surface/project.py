"""Points onto the surface of a field: Newton's method along its gradient, guarded; and where the least value of a sheet is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fields.render.sphere_trace import Distance, in_chunks
from fields.surface.implicit import Implicit

STEPS = 3
# How many places along the normal are looked at for a sheet's least value, over two cells.
PROBES = 9
TETRAHEDRON = ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1))


@torch.no_grad()
def gradients(function: Distance, points: Tensor, width: float) -> Tensor:
    """The gradient `[N, 3]` by four values on a tetrahedron of radius `width` around each point."""
    result = torch.zeros_like(points)
    for corner in TETRAHEDRON:
        corner = torch.tensor(corner, dtype=points.dtype, device=points.device)
        result += in_chunks(function, points + corner * (width / 3**0.5))[:, None] * corner
    # The corners' products sum to 4/3 of the identity, over a unit tetrahedron's radius.
    return result * (3**0.5 / 4 / width)


@torch.no_grad()
def project(function: Distance, points: Tensor, width: float, reach: float, steps: int = STEPS) -> Tensor:
    """Points `[N, 3]` moved to where `function` is zero, at most `reach` away from where they were.

    A Newton step is taken only where it brings the value nearer to zero; what does not gain stays where it is.
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
def to_least(function: Distance, points: Tensor, normals: Tensor, reach: float) -> Tensor:
    """Points moved against their normals, by up to `reach`, to where `function` is least: a parabola through the best of nine places."""
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
    """How far along the normals, to either side, the function next changes sign, `[N]`; `reach` where it does not within that."""
    along = torch.linspace(-reach, reach, PROBES, device=points.device)
    values = torch.stack([in_chunks(function, points + normals * s) for s in along])
    low, high = values[:-1], values[1:]
    at = along[:-1, None] + (along[1] - along[0]) * (low / torch.where(low == high, torch.ones_like(low), low - high))
    crossed = (low < 0) != (high < 0)
    return torch.where(crossed, at.abs(), torch.full_like(at, reach)).amin(dim=0)


def on_surface(implicit: Implicit, places: np.ndarray, width: float, reach: float) -> np.ndarray:
    """`project` for places `[n, 3]` float64 of an implicit that is no sheet."""
    points = torch.from_numpy(places).float().to(implicit.device)
    return project(implicit.function, points, width, reach).cpu().numpy().astype(np.float64)


def normals_at(implicit: Implicit, places: np.ndarray, width: float) -> np.ndarray:
    """Unit normals `[n, 3]` float32; zero where the field is flat."""
    points = torch.from_numpy(places).float().to(implicit.device)
    return torch.nn.functional.normalize(gradients(implicit.function, points, width), dim=-1, eps=1e-20).cpu().numpy()


@torch.no_grad()
def colors_at(implicit: Implicit, places: np.ndarray) -> np.ndarray | None:
    """sRGB `[n, 3]` float32 in [0, 1], or None."""
    if implicit.colors is None:
        return None
    points = torch.from_numpy(places).float().to(implicit.device)
    return in_chunks(implicit.colors, points).clamp(0, 1).cpu().numpy()
