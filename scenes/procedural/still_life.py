"""Solid scenes to take pictures of: where their surface is, what colour it has, how it shines, and from where it is seen.

Lengths are in units of which the scene is about two wide; z is up. All is a pure function of the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenes.errors import BadInput
from scenes.posed.path import looking_at
from scenes.posed.view import Intrinsics
from scenes.procedural.solids import Place, blended, block, disc, ellipsoid, length, moved, torus, turned

# Where two parts meet, the paint of one becomes that of the other over so much.
SEAM = 0.008
# From the scene to the sun, and what it and the sky give (linear).
SUN = np.float32([0.45, -0.55, 0.70]) / np.float32(np.linalg.norm([0.45, -0.55, 0.70]))
SUNLIGHT, SKY, BOUNCE = np.float32([1.05, 0.98, 0.88]), np.float32([0.42, 0.47, 0.55]), np.float32([0.20, 0.17, 0.14])


@dataclass(frozen=True)
class Part:
    """distance: places → `[N]`; paint: places → linear colours `[N, 3]` in [0, 1]; gloss: how strongly it mirrors the sun."""

    distance: Callable[[Place], np.ndarray]
    paint: Callable[[Place], np.ndarray]
    gloss: float


@dataclass(frozen=True)
class StillLife:
    """Parts that are blended with fillets of `fillet`; everything lies within `lower` .. `upper`."""

    name: str
    parts: tuple[Part, ...]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    fillet: float = 0.05

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance `[N]` float32 at points `[N, 3]` float32, negative inside."""
        place = _place(points)
        found = self.parts[0].distance(place)
        for part in self.parts[1:]:
            found = blended(found, part.distance(place), self.fillet)
        return found

    def color(self, points: np.ndarray, normals: np.ndarray, directions: np.ndarray, lit: np.ndarray) -> np.ndarray:
        """sRGB `[N, 3]` float32 in [0, 1] of places on the surface seen along `directions` `[N, 3]` (unit, away from the eye).

        lit `[N]`: how much of the sun gets there. A matt and a glossy share (Blinn 1977): the glossy one moves with the eye.
        """
        place = _place(points)
        away = np.stack([part.distance(place) for part in self.parts])
        weight = np.exp((away.min(axis=0) - away) / np.float32(SEAM))
        weight /= weight.sum(axis=0)
        paint = sum(w[:, None] * part.paint(place) for w, part in zip(weight, self.parts))
        gloss = sum(w * np.float32(part.gloss) for w, part in zip(weight, self.parts))[:, None]
        # How open the sky is above a place: distances along the normal fall short where something is near.
        openness = (
            sum(
                np.clip(self.distance(points + step * normals) / step, 0, 1) for step in np.float32([0.05, 0.12, 0.25])
            )[:, None]
            / 3
        )
        facing = np.maximum(normals @ SUN, 0)[:, None] * lit[:, None]
        up = 0.5 + 0.5 * normals[:, 2:3]
        light = SUNLIGHT * facing + openness * (SKY * up + BOUNCE * (1 - up))
        half = SUN - directions
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        towards = np.maximum((normals * half).sum(axis=1), 0)[:, None]
        grazing = (1 - np.clip(-(normals * directions).sum(axis=1), 0, 1))[:, None] ** 5
        shine = gloss * (lit[:, None] * (0.9 * towards**90 + 0.25 * towards**16) + grazing * 0.5 * SKY * openness)
        linear = np.clip(paint * light + shine, 0, 1)
        return np.where(
            linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055
        ).astype(np.float32)


def _place(points: np.ndarray) -> Place:
    return tuple(np.ascontiguousarray(points.T))


def _plain(red: float, green: float, blue: float) -> Callable[[Place], np.ndarray]:
    color = np.float32([red, green, blue])
    return lambda p: np.broadcast_to(color, (len(p[0]), 3))


def _mixed(share: np.ndarray, first: tuple[float, float, float], second: tuple[float, float, float]) -> np.ndarray:
    """`first` where share is 0, `second` where it is 1."""
    return np.float32(first) + share[:, None].astype(np.float32) * (np.float32(second) - np.float32(first))


def _edge(values: np.ndarray, width: float) -> np.ndarray:
    """0 below zero, 1 above, and no harder an edge than pictures can show."""
    return np.clip(0.5 + values / np.float32(width), 0, 1)


def _wood(p: Place) -> np.ndarray:
    x, y, _ = moved(p, (0.25, -0.1, 0.0))
    around = np.arctan2(y, x)
    rings = 0.5 + 0.5 * np.sin(38 * length(x, y) + 0.8 * np.sin(3 * around) + 0.5 * np.sin(7 * around + 1))
    return _mixed(rings**2, (0.50, 0.29, 0.13), (0.26, 0.12, 0.045))


def _striped(p: Place) -> np.ndarray:
    return _mixed(_edge(np.sin(6 * np.arctan2(p[1], p[0])), 0.25), (0.80, 0.78, 0.74), (0.70, 0.04, 0.03))


def _yellow_with_eyes(p: Place) -> np.ndarray:
    both = p[0], np.abs(p[1]), p[2]
    eye, spot = length(*moved(both, (0.44, 0.165, 0.865))), length(*moved(both, (0.475, 0.175, 0.895)))
    yellow = _mixed(_edge(eye - 0.055, 0.012), (0.01, 0.01, 0.012), (0.83, 0.55, 0.03))
    return np.where(spot[:, None] < 0.02, np.float32([0.85, 0.85, 0.85]), yellow)


def _duck(p: Place) -> np.ndarray:
    both = p[0], np.abs(p[1]), p[2]
    body = ellipsoid(moved(p, (-0.05, 0.0, 0.36)), (0.50, 0.36, 0.28))
    tail = ellipsoid(moved(p, (-0.48, 0.0, 0.52)), (0.17, 0.16, 0.11))
    wings = ellipsoid(moved(both, (-0.10, 0.34, 0.42)), (0.24, 0.07, 0.13))
    head = ellipsoid(moved(p, (0.28, 0.0, 0.81)), (0.25, 0.25, 0.25))
    return blended(blended(blended(body, tail, 0.3), wings, 0.06), head, 0.24)


def _in_cube(p: Place) -> Place:
    return turned(moved(p, (-0.62, -0.62, 0.24)), 25.0)


def _checks(p: Place) -> np.ndarray:
    """Of the two axes that lie in a face."""
    place = np.stack(_in_cube(p))
    waves = np.sin(16 * place)
    face = np.abs(place).argmax(axis=0)
    pair = np.choose(face, [waves[1] * waves[2], waves[0] * waves[2], waves[0] * waves[1]])
    return _mixed(_edge(pair, 0.35), (0.04, 0.14, 0.46), (0.62, 0.70, 0.76))


DUCK = StillLife(
    "duck",
    (
        Part(lambda p: disc(p, 1.08, 0.12, 0.04), _wood, 0.25),
        Part(_duck, _yellow_with_eyes, 0.75),
        Part(lambda p: ellipsoid(moved(p, (0.55, 0.0, 0.76)), (0.15, 0.12, 0.05)), _plain(0.78, 0.20, 0.02), 0.5),
        Part(lambda p: torus(moved(p, (0.0, 0.0, 0.17)), 0.62, 0.11), _striped, 0.45),
        Part(lambda p: block(_in_cube(p), (0.36, 0.36, 0.36), 0.04), _checks, 0.35),
        Part(lambda p: ellipsoid(moved(p, (0.55, -0.72, 0.19)), (0.13, 0.13, 0.13)), _plain(0.05, 0.36, 0.10), 0.9),
        Part(lambda p: ellipsoid(moved(p, (-0.55, 0.74, 0.23)), (0.17, 0.17, 0.17)), _plain(0.55, 0.05, 0.32), 0.9),
    ),
    (-1.12, -1.12, -0.08),
    (1.12, 1.12, 1.10),
    0.06,
)

STILL_LIVES = {life.name: life for life in (DUCK,)}
SIDE, TRAIN, TEST = 160, 40, 8
FIELD_OF_VIEW, DISTANCE, MIDDLE = 40.0, 3.6, (0.0, 0.0, 0.25)


def still_life(name: str) -> StillLife:
    """The scene of that name, or BadInput."""
    if name not in STILL_LIVES:
        raise BadInput(f"procedural:{name}: there is no such scene; there is {', '.join(STILL_LIVES)}")
    return STILL_LIVES[name]


def cameras() -> list[tuple[str, str, np.ndarray, Intrinsics]]:
    """Names, splits, poses `[3, 4]` and lenses of the views of a scene: for training on a spiral over the upper half of a
    sphere, for testing on a ring between."""
    intrinsics = Intrinsics(SIDE, SIDE, *[0.5 * SIDE / np.tan(np.radians(FIELD_OF_VIEW) / 2)] * 2, SIDE / 2, SIDE / 2)
    spiral = [(i * 180 * (3 - 5**0.5), np.degrees(np.arcsin(0.02 + 0.9 * (i + 0.5) / TRAIN))) for i in range(TRAIN)]
    ring = [(360 * (i + 0.3) / TEST, 24.0 + 8 * (-1) ** i) for i in range(TEST)]
    found = []
    for split, places in (("train", spiral), ("test", ring)):
        for number, (azimuth, elevation) in enumerate(np.radians(places)):
            offset = np.array(
                [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
            )
            found.append(
                (f"{split}/{number:03}", split, looking_at(np.array(MIDDLE) + DISTANCE * offset, MIDDLE), intrinsics)
            )
    return found
