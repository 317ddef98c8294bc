"""Implicit functions: a field's surface as the zero set of a function that is negative inside, on a box of longest side
1.
"""

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

# Type of an implicit function. "distance": about a signed distance, so there is no surface where its magnitude is
# large. "unsigned": an unsigned distance, zero only on the surface itself, which has no inside. "values": anything that
# rises from inside to outside.
ImplicitType = Literal["distance", "unsigned", "values"]


@dataclass(frozen=True)
class Implicit:
    """A surface as the zero set of `function`.

    `function`: points `[M, 3]` in the box from 0 to `extents` → `[M]` float32, negative inside; never negative where
    the type is "unsigned". `colors`: points → sRGB `[M, 3]` in [0, 1], or None. `corner`, `side`: a point `p` of the
    box is at `corner + side * p` in the units of the fitted file. `level`: the field's own value at the surface.
    `value_of`: the field's own value for a value of `function`.
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
        """Points of the box `[n, 3]` → points in the units of the fitted file."""
        return self.corner + self.side * points

    def from_file(self, points: np.ndarray) -> np.ndarray:
        """Points `[n, 3]` in the units of the fitted file → points of the box."""
        return (np.asarray(points) - self.corner) / self.side


def implicit_shape(field: PointField, level: float | None = None) -> Implicit:
    """The surface of a field of the kind shape.

    `level`: the level set of its distance or occupancy; None for the surface itself (0, or 0.5 for occupancy).
    """
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
    """The surface around the region where `values` is above `level`.

    `values`, `colors`: points `[M, 3]` in the domain's [0, 1]^3 → `[M]` and sRGB `[M, 3]`.
    """
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
    """`count` unit directions `[count, 3]`, spread evenly over the sphere on a Fibonacci spiral."""
    at = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = 2 * np.sqrt(at * (1 - at))
    return np.stack([flat * np.cos(turn), 1 - 2 * at, flat * np.sin(turn)], axis=1)


def frame_of(domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Lower corner and side lengths of a domain's three axes in space, `[3]` each."""
    axes = domain.axes[:3]
    return np.array([axis.lower for axis in axes], np.float64), np.array(
        [axis.upper - axis.lower for axis in axes], np.float64
    )
