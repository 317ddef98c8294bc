"""What a field's surface is: a function that is negative inside, on a box whose longest side is 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fields.models.field import PointField
from fields.render.sphere_trace import Distance
from fields.render.surface_field import surface_field
from scenes.domain import Domain

# Type of an implicit function. "distance": about a signed distance, so there is no surface where its magnitude is large.
# "unsigned": an unsigned distance, zero only on the surface itself, which has no inside. "values": anything that rises
# from inside to outside.
ImplicitType = Literal["distance", "unsigned", "values"]


@dataclass(frozen=True)
class Implicit:
    """`function`: points `[M, 3]` in the box from 0 to `extents` → `[M]` float32, negative inside; a sheet's is never negative.

    colours: points → sRGB `[M, 3]` in [0, 1], or None. corner, side: a point `p` is at `corner + side * p` in the units of the
    file that was fitted. level: where the surface lies in the field's own values; value_of: what those are where `function` has a
    value.
    """

    function: Distance
    type: ImplicitType
    colors: Callable[[Tensor], Tensor] | None
    extents: tuple[float, float, float]
    corner: np.ndarray
    side: float
    level: float
    value_of: Callable[[float], float]
    device: torch.device
    # Smallest area of a connected component that is kept, as a fraction of the largest component's.
    min_component: float = 0.0

    def to_file(self, points: np.ndarray) -> np.ndarray:
        """Places `[n, 3]` in the units of the fitted file."""
        return self.corner + self.side * points

    def from_file(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points) - self.corner) / self.side


def implicit_shape(field: PointField, level: float | None = None) -> Implicit:
    """That of a field of a shape. level: None for the surface itself, else the level set of its distance or occupancy."""
    fit = surface_field(field)
    occupancy = fit.space == "occupancy"
    base = 0.5 if occupancy else 0.0
    level = base if level is None else level
    # A level set of an unsigned distance is a closed shell, hence a surface with an inside.
    type_ = "values" if occupancy else "unsigned" if fit.space == "unsigned_distance" and level == 0.0 else "distance"
    shift = level - base if not occupancy else base - level
    function = fit.function if shift == 0.0 else lambda points: fit.function(points) - shift
    corner, side = frame_of(field.domain)
    return Implicit(
        function,
        type_,
        fit.colors,
        (1.0, 1.0, 1.0),
        corner,
        float(side.max()),
        level,
        lambda value: level - value if occupancy else level + value,
        fit.device,
    )


def implicit_values(
    values: Callable[[Tensor], Tensor],
    domain: Domain,
    level: float,
    device: torch.device,
    colors: Callable[[Tensor], Tensor] | None = None,
) -> Implicit:
    """The surface around what is above `level`. values, colours: points in the domain's [0, 1]^3 → `[M]`, `[M, 3]`."""
    corner, sides = frame_of(domain)
    extents = sides / sides.max()
    scale = torch.tensor(1 / extents, dtype=torch.float32, device=device)
    return Implicit(
        lambda points: level - values((points * scale).clamp(0, 1)),
        "values",
        None if colors is None else lambda points: colors((points * scale).clamp(0, 1)),
        tuple(map(float, extents)),
        corner,
        float(sides.max()),
        level,
        lambda value: level - value,
        device,
    )


def sphere(count: int) -> np.ndarray:
    """`count` unit directions `[count, 3]`, evenly over the sphere: Fibonacci's spiral."""
    at = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = 2 * np.sqrt(at * (1 - at))
    return np.stack([flat * np.cos(turn), 1 - 2 * at, flat * np.sin(turn)], axis=1)


def frame_of(domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """The lower corner of the axes in space, and their lengths, `[3]` each."""
    axes = domain.axes[:3]
    return np.array([axis.lower for axis in axes], np.float64), np.array(
        [axis.upper - axis.lower for axis in axes], np.float64
    )
