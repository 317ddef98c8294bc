"""The interface of surfaces: distances, inside or outside, samples, and what a camera sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from scenes.posed.camera import Camera


class SurfaceSamples(NamedTuple):
    """Points on a surface. points, normals: `[n, 3]` float64. elements: `[n]`, the faces or points that they are on."""

    points: np.ndarray
    normals: np.ndarray
    elements: np.ndarray


class VisiblePixels(NamedTuple):
    """The pixels in which a camera sees a surface.

    Attributes:
        pixels: `[n]`, indices row by row.
        normals: `[n, 3]`.
        colors: `[n, 3]` sRGB in [0, 1], or None where the surface has none.
    """

    pixels: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None


class Surface(ABC):
    """A surface in its unit cube. Points are `[n, 3]` float64; signed distances are negative inside.

    An element is a face of a mesh or a point of a cloud.
    """

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the surface has an inside."""

    @property
    @abstractmethod
    def has_colors(self) -> bool:
        """Whether `colors` can be called."""

    @property
    @abstractmethod
    def sign_source(self) -> str:
        """How inside and outside are told apart: "winding number" or "pseudonormal"."""

    @abstractmethod
    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance `[n]`, the nearest element `[n]`, and the nearest point on it `[n, 3]`."""

    @abstractmethod
    def inside(self, points: np.ndarray) -> np.ndarray:
        """Which points are inside, `[n]` bool."""

    @abstractmethod
    def sample(self, count: int, generator: np.random.Generator) -> SurfaceSamples:
        """`count` random points, evenly by area."""

    @abstractmethod
    def colors(self, elements: np.ndarray, points: np.ndarray) -> np.ndarray:
        """sRGB `[n, 3]` float32 in [0, 1] at points on elements. Only where the surface has colours."""

    @abstractmethod
    def normals(self, elements: np.ndarray) -> np.ndarray:
        """Unit normals `[n, 3]` of elements."""

    @abstractmethod
    def visible(self, camera: Camera) -> VisiblePixels:
        """The pixels in which a camera sees the surface."""
