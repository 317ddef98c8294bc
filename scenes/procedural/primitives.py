"""Solids that shapes with parts are made of: exact signed distances, and points on their surfaces, evenly by area."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from scenes.procedural import solids

Points = np.ndarray
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Placement:
    """Where a solid stands: columns of `axes` `[3, 3]` are its own axes, `centre` `[3]` is its origin."""

    axes: np.ndarray
    centre: np.ndarray

    def local(self, points: Points) -> Points:
        """Points `[N, 3]` in the solid's own axes."""
        return (points - self.centre) @ self.axes

    def world(self, points: Points) -> Points:
        """Points `[N, 3]` of the solid's own axes."""
        return points @ self.axes.T + self.centre


class Primitive(ABC):
    """A solid about its own origin, upright along z."""

    @property
    @abstractmethod
    def area(self) -> float:
        """Area of the surface."""

    @abstractmethod
    def distance(self, p: Points) -> np.ndarray:
        """Signed distances `[N]` at points `[N, 3]`, negative inside."""

    @abstractmethod
    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        """Points on the surface and their outward normals, `[count, 3]` each."""


@dataclass(frozen=True)
class Block(Primitive):
    """A box. sides: its whole lengths."""

    sides: Vector

    @property
    def area(self) -> float:
        a, b, c = self.sides
        return 2 * (a * b + b * c + a * c)

    def distance(self, p: Points) -> np.ndarray:
        return solids.block(tuple(p.T), self.sides, 0.0)

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        a, b, c = self.sides
        areas = np.array([b * c, a * c, a * b])
        axis = generator.choice(3, count, p=areas / areas.sum())
        sign = np.where(generator.random(count) < 0.5, -1.0, 1.0)
        points = (generator.random((count, 3)) - 0.5) * np.array(self.sides)
        normals = np.zeros((count, 3))
        rows = np.arange(count)
        points[rows, axis] = sign * np.array(self.sides)[axis] / 2
        normals[rows, axis] = sign
        return points, normals


@dataclass(frozen=True)
class Ball(Primitive):
    """A sphere."""

    radius: float

    @property
    def area(self) -> float:
        return 4 * math.pi * self.radius**2

    def distance(self, p: Points) -> np.ndarray:
        return np.linalg.norm(p, axis=1) - self.radius

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        normals = generator.standard_normal((count, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return normals * self.radius, normals


@dataclass(frozen=True)
class Frustum(Primitive):
    """A cylinder or a cut-off cone. lower, upper: radii at its ends; height: from end to end."""

    lower: float
    upper: float
    height: float

    @property
    def slant(self) -> float:
        """Length of the side's slope."""
        return math.hypot(self.height, self.upper - self.lower)

    @property
    def area(self) -> float:
        return math.pi * ((self.lower + self.upper) * self.slant + self.lower**2 + self.upper**2)

    def distance(self, p: Points) -> np.ndarray:
        """By the nearest points of the profile's two discs and of its slope."""
        half = self.height / 2
        across, along = np.hypot(p[:, 0], p[:, 1]), p[:, 2]
        end = np.where(along < 0, self.lower, self.upper)
        disc = across - np.minimum(across, end), np.abs(along) - half
        slope = np.array([self.upper - self.lower, self.height])
        from_lower = across - self.lower, along + half
        t = np.clip((from_lower[0] * slope[0] + from_lower[1] * slope[1]) / (slope @ slope), 0, 1)
        side = from_lower[0] - t * slope[0], from_lower[1] - t * slope[1]
        square = np.minimum(disc[0] ** 2 + disc[1] ** 2, side[0] ** 2 + side[1] ** 2)
        inside = (side[0] < 0) & (disc[1] < 0)
        return np.where(inside, -1.0, 1.0) * np.sqrt(square)

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        areas = np.array([(self.lower + self.upper) * self.slant, self.lower**2, self.upper**2])
        which = generator.choice(3, count, p=areas / areas.sum())
        angle, u = 2 * math.pi * generator.random(count), generator.random(count)
        change = self.upper - self.lower
        if abs(change) < 1e-9:
            t = u
        else:
            # The area up to the height t grows as the integral of the radius.
            t = (np.sqrt(self.lower**2 + u * (self.upper**2 - self.lower**2)) - self.lower) / change
        radius = np.select(
            [which == 0, which == 1], [self.lower + t * change, self.lower * np.sqrt(u)], self.upper * np.sqrt(u)
        )
        along = np.select(
            [which == 0, which == 1], [(t - 0.5) * self.height, np.full(count, -self.height / 2)], self.height / 2
        )
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.concatenate([direction * radius[:, None], along[:, None]], axis=1)
        outward = np.concatenate([direction * self.height, np.full((count, 1), -change)], axis=1) / self.slant
        cap = np.zeros((count, 3))
        cap[:, 2] = np.where(which == 1, -1.0, 1.0)
        return points, np.where((which == 0)[:, None], outward, cap)


@dataclass(frozen=True)
class Ring(Primitive):
    """A torus around z. radius: of the circle in the middle of its tube; thickness: radius of the tube."""

    radius: float
    thickness: float

    @property
    def area(self) -> float:
        return 4 * math.pi**2 * self.radius * self.thickness

    def distance(self, p: Points) -> np.ndarray:
        return np.hypot(np.hypot(p[:, 0], p[:, 1]) - self.radius, p[:, 2]) - self.thickness

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
        angles = np.zeros(0)
        # The outer half of the tube has more area: an angle is kept with a chance that goes with its radius.
        while len(angles) < count:
            drawn = 2 * math.pi * generator.random(2 * count)
            chance = (self.radius + self.thickness * np.cos(drawn)) / (self.radius + self.thickness)
            angles = np.concatenate([angles, drawn[generator.random(2 * count) < chance]])
        v, u = angles[:count], 2 * math.pi * generator.random(count)
        normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], axis=1)
        middle = np.stack([np.cos(u), np.sin(u), np.zeros(count)], axis=1) * self.radius
        return middle + normals * self.thickness, normals
