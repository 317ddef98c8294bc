"""Shapes that are put together from solids, in classes, with a label of the part at every point of the surface.

They are computed from their number alone, so a set of any size needs no file. Sizes of all parts are random, and so are
the turn about the upright axis and a tilt of up to 15 degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.posed.camera import Camera
from scenes.procedural.primitives import Ball, Block, Frustum, Placement, Primitive, Ring
from scenes.procedural.tracing import clip_to_box, sphere_trace, surface_normals
from scenes.sampling import philox
from scenes.shape.base import Surface, SurfaceSamples, VisiblePixels
from scenes.shape.signal import SIDE, SPACES, Quantity, Shape

# Largest tilt of a shape, in degrees.
TILT = 15.0
# Points by which the box of a shape is found.
BOX_POINTS = 8192
# Distance inside of another solid from which on a point of a surface is not on that of the whole.
HIDDEN = 1e-6
# Of the drawing, when a shape is looked at.
TRACE_STEPS, TRACE_TOLERANCE = 96, 1e-4
# Shapes are put together upright along z, and stand along y, as previews show them.
UPRIGHT = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
# Streams of the random generators: of the shape, and of the points by which its box is found.
SHAPE, BOX = 31, 32


@dataclass(frozen=True)
class Part:
    """A solid in its place, which belongs to the part `name`."""

    name: str
    solid: Primitive
    placement: Placement

    def distance(self, points: np.ndarray) -> np.ndarray:
        return self.solid.distance(self.placement.local(points))


def _at(name: str, solid: Primitive, x: float = 0.0, y: float = 0.0, z: float = 0.0, *, lying: str = "") -> Part:
    """A part at a place; lying: the axis along which its own z lies, "x" or "y"."""
    axes = {"": np.eye(3), "x": np.eye(3)[:, [2, 1, 0]] * [-1, 1, 1], "y": np.eye(3)[:, [0, 2, 1]] * [1, -1, 1]}[lying]
    return Part(name, solid, Placement(axes, np.array([x, y, z])))


def _table(r: np.random.Generator) -> list[Part]:
    w, d, h, top, leg = (
        r.uniform(0.6, 1.2),
        r.uniform(0.4, 0.9),
        r.uniform(0.4, 0.9),
        r.uniform(0.05, 0.12),
        r.uniform(0.03, 0.07),
    )
    corners = [(x * (w / 2 - leg), y * (d / 2 - leg)) for x in (-1, 1) for y in (-1, 1)]
    legs = [_at("leg", Frustum(leg * r.uniform(0.7, 1), leg, h), x, y, -h / 2) for x, y in corners]
    return [_at("top", Block((w, d, top)), z=top / 2 - 0.01), *legs]


def _chair(r: np.random.Generator) -> list[Part]:
    w, h, seat, leg, back = (
        r.uniform(0.4, 0.6),
        r.uniform(0.3, 0.6),
        r.uniform(0.06, 0.1),
        r.uniform(0.025, 0.05),
        r.uniform(0.4, 0.8),
    )
    corners = [(x * (w / 2 - leg), y * (w / 2 - leg)) for x in (-1, 1) for y in (-1, 1)]
    legs = [_at("leg", Frustum(leg, leg, h), x, y, -h / 2) for x, y in corners]
    return [
        _at("seat", Block((w, w, seat)), z=seat / 2 - 0.01),
        _at("back", Block((w, seat, back)), y=w / 2 - seat / 2, z=back / 2 + seat - 0.02),
        *legs,
    ]


def _lamp(r: np.random.Generator) -> list[Part]:
    h, base, stem, shade, low = (
        r.uniform(0.6, 1.1),
        r.uniform(0.18, 0.32),
        r.uniform(0.025, 0.05),
        r.uniform(0.25, 0.45),
        r.uniform(0.2, 0.4),
    )
    return [
        _at("base", Frustum(base, base * 0.8, 0.08), z=0.04),
        _at("stem", Frustum(stem, stem, h), z=h / 2),
        _at("shade", Frustum(low, low * r.uniform(0.3, 0.7), shade), z=h),
    ]


def _mug(r: np.random.Generator) -> list[Part]:
    radius, h, ring, tube = r.uniform(0.25, 0.4), r.uniform(0.5, 0.9), r.uniform(0.14, 0.2), r.uniform(0.03, 0.05)
    return [
        _at("body", Frustum(radius * r.uniform(0.75, 1), radius, h)),
        _at("handle", Ring(ring, tube), x=radius + ring * 0.4, lying="y"),
    ]


def _dumbbell(r: np.random.Generator) -> list[Part]:
    length, bar = r.uniform(0.6, 1.0), r.uniform(0.04, 0.07)
    if r.random() < 0.5:
        weight: Primitive = Ball(r.uniform(0.14, 0.25))
    else:
        radius = r.uniform(0.16, 0.28)
        weight = Frustum(radius, radius, r.uniform(0.12, 0.25))
    ends = [_at("weight", weight, x=x * length / 2, lying="x") for x in (-1, 1)]
    return [_at("bar", Frustum(bar, bar, length), lying="x"), *ends]


def _hammer(r: np.random.Generator) -> list[Part]:
    h, grip, head = r.uniform(0.7, 1.1), r.uniform(0.035, 0.06), r.uniform(0.35, 0.55)
    size = r.uniform(0.12, 0.2)
    solid: Primitive = (
        Block((head, size, size)) if r.random() < 0.5 else Frustum(size / 2, size * r.uniform(0.25, 0.5), head)
    )
    lying = "" if isinstance(solid, Block) else "x"
    return [_at("grip", Frustum(grip, grip * 0.8, h), z=-h / 2), _at("head", solid, lying=lying)]


def _rocket(r: np.random.Generator) -> list[Part]:
    radius, h, nose, fin = r.uniform(0.12, 0.2), r.uniform(0.6, 1.0), r.uniform(0.2, 0.4), r.uniform(0.12, 0.25)
    fins = [
        _at("fin", Block((2 * radius + 2 * fin, 0.04, fin)), z=fin / 2),
        _at("fin", Block((0.04, 2 * radius + 2 * fin, fin)), z=fin / 2),
    ]
    return [
        _at("body", Frustum(radius, radius, h), z=h / 2),
        _at("nose", Frustum(radius, 0.01, nose), z=h + nose / 2 - 0.005),
        *fins,
    ]


def _key(r: np.random.Generator) -> list[Part]:
    ring, tube, length, shaft = (
        r.uniform(0.16, 0.26),
        r.uniform(0.035, 0.055),
        r.uniform(0.5, 0.8),
        r.uniform(0.03, 0.05),
    )
    teeth = [
        _at("tooth", Block((0.06, 0.05, r.uniform(0.1, 0.2))), x=ring + length * at, z=-0.08) for at in (0.65, 0.95)
    ]
    return [
        _at("bow", Ring(ring, tube), lying="y"),
        _at("shaft", Frustum(shaft, shaft, length), x=ring + length / 2, lying="x"),
        *teeth,
    ]


CLASSES: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "chair": _chair,
    "dumbbell": _dumbbell,
    "hammer": _hammer,
    "key": _key,
    "lamp": _lamp,
    "mug": _mug,
    "rocket": _rocket,
    "table": _table,
}
# Names of the parts of each class.
PARTS = {
    "chair": ("seat", "back", "leg"),
    "dumbbell": ("bar", "weight"),
    "hammer": ("grip", "head"),
    "key": ("bow", "shaft", "tooth"),
    "lamp": ("base", "stem", "shade"),
    "mug": ("body", "handle"),
    "rocket": ("body", "nose", "fin"),
    "table": ("top", "leg"),
}


class PartSurface(Surface):
    """The surface of a union of solids. Elements are the solids.

    Distances are exact outside; where solids overlap, they are those to the deepest surface, with the right sign.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    @property
    def closed(self) -> bool:
        return True

    @property
    def has_colors(self) -> bool:
        return False

    @property
    def sign_source(self) -> str:
        return "formula"

    def _distances(self, points: np.ndarray) -> np.ndarray:
        return np.stack([part.distance(points) for part in self.parts])

    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        points = np.asarray(points, np.float64)
        distances = self._distances(points)
        elements = distances.argmin(axis=0)
        own = distances.min(axis=0)
        nearest = points - own[:, None] * surface_normals(lambda p: self._distances(p).min(axis=0), points)
        return (own if signed else np.abs(own)), elements, nearest

    def inside(self, points: np.ndarray) -> np.ndarray:
        return self._distances(np.asarray(points, np.float64)).min(axis=0) < 0

    def part_names(self, points: np.ndarray) -> np.ndarray:
        """Name of the part that each point `[N, 3]` is nearest to."""
        names = np.array([part.name for part in self.parts])
        return names[self._distances(np.asarray(points, np.float64)).argmin(axis=0)]

    def sample(self, count: int, generator: np.random.Generator) -> SurfaceSamples:
        areas = np.array([part.solid.area for part in self.parts])
        kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        missing = count
        while missing > 0:
            drawn = generator.multinomial(missing + missing // 4 + 16, areas / areas.sum())
            for element, (part, number) in enumerate(zip(self.parts, drawn)):
                local, directions = part.solid.sample(int(number), generator)
                points = part.placement.world(local)
                seen = self._distances(points).min(axis=0) > -HIDDEN
                kept.append((points[seen], (directions @ part.placement.axes.T)[seen], np.full(seen.sum(), element)))
                missing -= int(seen.sum())
        points, normals, elements = (np.concatenate(column) for column in zip(*kept))
        order = generator.permutation(len(points))[:count]
        return SurfaceSamples(points[order], normals[order], elements[order])

    def colors(self, elements: np.ndarray, points: np.ndarray) -> np.ndarray:
        raise ValueError("shapes with parts have no colours")

    def normals(self, elements: np.ndarray) -> np.ndarray:
        raise ValueError("a solid has no single normal")

    def visible(self, camera: Camera) -> VisiblePixels:
        origins, directions = (array.astype(np.float32) for array in camera.rays())

        def distance(points: np.ndarray) -> np.ndarray:
            return self._distances(points.astype(np.float64)).min(axis=0).astype(np.float32)

        near, far = clip_to_box(origins, directions, (0.0,) * 3, (1.0,) * 3)
        hit, t = sphere_trace(
            distance, origins, directions, near=near, far=far, steps=TRACE_STEPS, tolerance=TRACE_TOLERANCE
        )
        pixels = np.flatnonzero(hit)
        points = origins[pixels] + t[pixels, None] * directions[pixels]
        return VisiblePixels(pixels, surface_normals(distance, points), None)


class PartShape(Shape):
    """A shape with parts, as a signal in its unit cube."""

    def __init__(self, parts: list[Part], source: dict, quantity: Quantity = "auto") -> None:
        points = PartSurface(parts).sample(BOX_POINTS, np.random.Generator(philox(0, BOX))).points
        lower, upper = points.min(axis=0), points.max(axis=0)
        middle, side = (lower + upper) / 2, float((upper - lower).max()) / SIDE
        self.source = source
        self.domain = Domain(
            tuple(Axis(axis, float(m - side / 2), float(m + side / 2), "") for axis, m in zip("xyz", middle))
        )
        corner = middle - side / 2
        self.box = (lower - corner) / side, (upper - corner) / side
        self.surface = PartSurface([_scaled(part, corner, side) for part in parts])
        self.quantity = "signed" if quantity == "auto" else quantity
        self.notes = ()
        space, first = SPACES[self.quantity]
        self.has_colors = False
        self.channels = Channels((first,), space)
        self._samples = None
        self._variant = []

    @property
    def solids(self) -> PartSurface:
        """The surface, as the union of solids that it is."""
        assert isinstance(self.surface, PartSurface)
        return self.surface

    def describe(self) -> str:
        return f"{len(self.solids.parts)} solids, {self.channels.space.replace('_', ' ')}"


def part_shape(index: int, quantity: Quantity = "auto") -> PartShape:
    """The shape of a number from 0 on: classes in turn, each shape with sizes and an orientation of its own."""
    label = list(CLASSES)[index % len(CLASSES)]
    generator = np.random.Generator(philox(index, SHAPE))
    parts = CLASSES[label](generator)
    turn = _rotation((0, 0, 1), generator.uniform(0, 360))
    azimuth = generator.uniform(0, 2 * math.pi)
    tilt = _rotation((math.cos(azimuth), math.sin(azimuth), 0), generator.uniform(0, TILT))
    axes = UPRIGHT @ tilt @ turn
    placed = [
        Part(part.name, part.solid, Placement(axes @ part.placement.axes, axes @ part.placement.centre))
        for part in parts
    ]
    source = {
        "path": f"procedural:parts/{index}",
        "bytes": 0,
        "mtime_ns": 0,
        "sha256": f"procedural:parts/{index}",
        "options": {},
    }
    return PartShape(placed, source, quantity)


def _rotation(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Rotation about a unit axis, `[3, 3]` (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class _Scaled(Primitive):
    """A solid in units of which `side` are one of its own."""

    solid: Primitive
    side: float

    @property
    def area(self) -> float:
        return self.solid.area / self.side**2

    def distance(self, p: np.ndarray) -> np.ndarray:
        return self.solid.distance(p * self.side) / self.side

    def sample(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        points, normals = self.solid.sample(count, generator)
        return points / self.side, normals


def _scaled(part: Part, corner: np.ndarray, side: float) -> Part:
    placement = Placement(part.placement.axes, (part.placement.centre - corner) / side)
    return Part(part.name, _Scaled(part.solid, side), placement)
