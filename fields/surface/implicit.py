"""Implicit functions: the surface of a field as the zero set of a function that is negative inside."""

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

# Type of an implicit function. "distance": roughly a signed distance, so the surface is not near a point where it is
# large. "unsigned": an unsigned distance, zero only on the surface itself, which has no inside. "values": anything that
# rises from inside to outside.
ImplicitType = Literal["distance", "unsigned", "values"]
Extents = tuple[float, float, float]
# Smallest component of a shape that is kept, as a fraction of the largest one's area. Specks, a few cells of a lattice
# in size, have less; parts that someone modelled have more.
MIN_SHAPE_COMPONENT = 5e-4


@dataclass(frozen=True, kw_only=True)
class Implicit:
    """A surface as the zero set of a function on a box whose longest side is 1.

    function: points `[M, 3]` in the box from 0 to `extents` → `[M]` float32, negative inside. It is never negative if
        the type is "unsigned".
    colors: points `[M, 3]` → sRGB `[M, 3]` in [0, 1]; None if the field has no colors.
    corner, side: lower corner `[3]` and longest side of the box, in units of the fitted file.
    level: the field's own value at the surface.
    value_of: the field's own value for a value of `function`.
    device: where `function` and `colors` take their points.
    min_component: connected components of less than this fraction of the largest one's area are removed.
    """

    function: Distance
    type: ImplicitType
    colors: Callable[[Tensor], Tensor] | None
    extents: Extents
    corner: np.ndarray
    side: float
    level: float
    value_of: Callable[[float], float]
    device: torch.device
    min_component: float = 0.0

    def to_file(self, points: np.ndarray) -> np.ndarray:
        """Convert points of the box `[n, 3]` to units of the fitted file."""
        return self.corner + self.side * points

    def from_file(self, points: np.ndarray) -> np.ndarray:
        """Convert points `[n, 3]` in units of the fitted file to points of the box."""
        return (np.asarray(points) - self.corner) / self.side


def implicit_shape(field: PointField, level: float | None = None) -> Implicit:
    """The surface of a field of distances or occupancy.

    level: the level set of its values; None: the surface itself, at distance 0 or occupancy 0.5.
    """
    fit = surface_field(field)
    is_occupancy = fit.space == "occupancy"
    base = 0.5 if is_occupancy else 0.0
    level = base if level is None else level
    if is_occupancy:
        type_: ImplicitType = "values"
    else:
        # A level set of an unsigned distance is a closed shell, so it has an inside.
        type_ = "unsigned" if fit.space == "unsigned_distance" and level == 0.0 else "distance"
    shift = base - level if is_occupancy else level - base
    corner, sides = corner_and_sides(field.domain)
    return Implicit(
        function=fit.function if shift == 0.0 else lambda points: fit.function(points) - shift,
        type=type_,
        colors=fit.colors,
        extents=(1.0, 1.0, 1.0),
        corner=corner,
        side=float(sides.max()),
        level=level,
        value_of=lambda value: level - value if is_occupancy else level + value,
        device=fit.device,
        min_component=MIN_SHAPE_COMPONENT,
    )


def implicit_values(
    values: Callable[[Tensor], Tensor],
    domain: Domain,
    level: float,
    device: torch.device,
    *,
    colors: Callable[[Tensor], Tensor] | None = None,
) -> Implicit:
    """The surface around the region where `values` is above `level`.

    values, colors: points `[M, 3]` in the domain's [0, 1]^3 → `[M]` and sRGB `[M, 3]`.
    """
    corner, sides = corner_and_sides(domain)
    extents = sides / sides.max()
    scale = torch.tensor(1 / extents, dtype=torch.float32, device=device)
    x, y, z = extents.tolist()
    return Implicit(
        function=lambda points: level - values((points * scale).clamp(0, 1)),
        type="values",
        colors=None if colors is None else lambda points: colors((points * scale).clamp(0, 1)),
        extents=(x, y, z),
        corner=corner,
        side=float(sides.max()),
        level=level,
        value_of=lambda value: level - value,
        device=device,
    )


def fibonacci_sphere(count: int) -> np.ndarray:
    """`count` unit directions `[count, 3]`, spread evenly over the sphere on a Fibonacci spiral."""
    at = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = 2 * np.sqrt(at * (1 - at))
    return np.stack([flat * np.cos(turn), 1 - 2 * at, flat * np.sin(turn)], axis=1)


def corner_and_sides(domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Lower corner and side lengths of a domain's first three axes, `[3]` float64 each."""
    axes = domain.axes[:3]
    lower = np.array([axis.lower for axis in axes], np.float64)
    upper = np.array([axis.upper for axis in axes], np.float64)
    return lower, upper - lower
