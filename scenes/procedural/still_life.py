"""Analytic scenes to photograph: signed distance, colour and gloss as functions of the point, and the cameras.

A scene is about two units wide; z is up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.procedural.solids import (
    Points,
    block,
    disc,
    ellipsoid,
    norm,
    rotated,
    smooth_union,
    torus,
    translated,
)


def _float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


# Width of the transition between the colours of two parts that meet.
SEAM = 0.008
# Direction from the scene to the sun.
SUN = _float32(0.45, -0.55, 0.70) / np.float32(np.linalg.norm([0.45, -0.55, 0.70]))
# Light of the sun, of the sky above and of the ground below, linear RGB.
SUNLIGHT = _float32(1.05, 0.98, 0.88)
SKY = _float32(0.42, 0.47, 0.55)
BOUNCE = _float32(0.20, 0.17, 0.14)


@dataclass(frozen=True)
class Part:
    """A solid of one material.

    Attributes:
        distance: points to signed distances `[N]`.
        color: points to linear RGB `[N, 3]` in [0, 1].
        gloss: strength of the sun's reflection.
    """

    distance: Callable[[Points], np.ndarray]
    color: Callable[[Points], np.ndarray]
    gloss: float


@dataclass(frozen=True, kw_only=True)
class StillLife:
    """Parts joined by fillets of the width `fillet`, all of them within the box from `lower` to `upper`."""

    name: str
    parts: tuple[Part, ...]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    fillet: float = 0.05

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance `[N]` float32 at points `[N, 3]` float32, negative inside."""
        p = _columns(points)
        found = self.parts[0].distance(p)
        for part in self.parts[1:]:
            found = smooth_union(found, part.distance(p), self.fillet)
        return found

    def color(self, points: np.ndarray, normals: np.ndarray, directions: np.ndarray, lit: np.ndarray) -> np.ndarray:
        """sRGB `[N, 3]` float32 in [0, 1] of points on the surface, with a matt and a glossy part (Blinn 1977).

        Args:
            points, normals: `[N, 3]` float32.
            directions: `[N, 3]` float32, unit, from the eye to the points.
            lit: `[N]` float32, the fraction of the sun that reaches them.
        """
        p = _columns(points)
        away = np.stack([part.distance(p) for part in self.parts])
        weight = np.exp((away.min(axis=0) - away) / np.float32(SEAM))
        weight /= weight.sum(axis=0)
        base = reduce(np.add, (w[:, None] * part.color(p) for w, part in zip(weight, self.parts)))
        gloss = reduce(np.add, (w * np.float32(part.gloss) for w, part in zip(weight, self.parts)))[:, None]
        # How much of the sky a point sees: near other surfaces, distances grow less along the normal than the way.
        away_by_step = (
            np.clip(self.distance(points + step * normals) / step, 0, 1) for step in _float32(0.05, 0.12, 0.25)
        )
        openness = reduce(np.add, away_by_step)[:, None] / 3
        facing = np.maximum(normals @ SUN, 0)[:, None] * lit[:, None]
        up = 0.5 + 0.5 * normals[:, 2:3]
        light = SUNLIGHT * facing + openness * (SKY * up + BOUNCE * (1 - up))
        half = SUN - directions
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        towards = np.maximum((normals * half).sum(axis=1), 0)[:, None]
        grazing = (1 - np.clip(-(normals * directions).sum(axis=1), 0, 1))[:, None] ** 5
        shine = gloss * (lit[:, None] * (0.9 * towards**90 + 0.25 * towards**16) + grazing * 0.5 * SKY * openness)
        linear = np.clip(base * light + shine, 0, 1)
        return np.where(
            linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055
        ).astype(np.float32)


def _columns(points: np.ndarray) -> Points:
    x, y, z = np.ascontiguousarray(points.T)
    return x, y, z


def _plain(red: float, green: float, blue: float) -> Callable[[Points], np.ndarray]:
    color = _float32(red, green, blue)
    return lambda p: np.broadcast_to(color, (len(p[0]), 3))


def _mixed(fraction: np.ndarray, first: tuple[float, float, float], second: tuple[float, float, float]) -> np.ndarray:
    """Colours `[N, 3]`: `first` where the fraction `[N]` is 0, `second` where it is 1."""
    return _float32(*first) + fraction[:, None].astype(np.float32) * (_float32(*second) - _float32(*first))


def _edge(values: np.ndarray, width: float) -> np.ndarray:
    """0 below zero and 1 above, with a transition of `width`, as images cannot show sharper edges."""
    return np.clip(0.5 + values / np.float32(width), 0, 1)


def _wood(p: Points) -> np.ndarray:
    x, y, _ = translated(p, (0.25, -0.1, 0.0))
    around = np.arctan2(y, x)
    rings = 0.5 + 0.5 * np.sin(38 * norm(x, y) + 0.8 * np.sin(3 * around) + 0.5 * np.sin(7 * around + 1))
    return _mixed(rings**2, (0.50, 0.29, 0.13), (0.26, 0.12, 0.045))


def _striped(p: Points) -> np.ndarray:
    return _mixed(_edge(np.sin(6 * np.arctan2(p[1], p[0])), 0.25), (0.80, 0.78, 0.74), (0.70, 0.04, 0.03))


def _yellow_with_eyes(p: Points) -> np.ndarray:
    both = p[0], np.abs(p[1]), p[2]
    eye, spot = norm(*translated(both, (0.44, 0.165, 0.865))), norm(*translated(both, (0.475, 0.175, 0.895)))
    yellow = _mixed(_edge(eye - 0.055, 0.012), (0.01, 0.01, 0.012), (0.83, 0.55, 0.03))
    return np.where(spot[:, None] < 0.02, _float32(0.85, 0.85, 0.85), yellow)


def _duck(p: Points) -> np.ndarray:
    both = p[0], np.abs(p[1]), p[2]
    body = ellipsoid(translated(p, (-0.05, 0.0, 0.36)), (0.50, 0.36, 0.28))
    tail = ellipsoid(translated(p, (-0.48, 0.0, 0.52)), (0.17, 0.16, 0.11))
    wings = ellipsoid(translated(both, (-0.10, 0.34, 0.42)), (0.24, 0.07, 0.13))
    head = ellipsoid(translated(p, (0.28, 0.0, 0.81)), (0.25, 0.25, 0.25))
    return smooth_union(smooth_union(smooth_union(body, tail, 0.3), wings, 0.06), head, 0.24)


def _in_cube(p: Points) -> Points:
    return rotated(translated(p, (-0.62, -0.62, 0.24)), 25.0)


def _checks(p: Points) -> np.ndarray:
    """A checkerboard on each face of the cube, along the two axes of the face."""
    local = np.stack(_in_cube(p))
    waves = np.sin(16 * local)
    face = np.abs(local).argmax(axis=0)
    pair = np.choose(face, [waves[1] * waves[2], waves[0] * waves[2], waves[0] * waves[1]])
    return _mixed(_edge(pair, 0.35), (0.04, 0.14, 0.46), (0.62, 0.70, 0.76))


DUCK = StillLife(
    name="duck",
    parts=(
        Part(lambda p: disc(p, 1.08, 0.12, 0.04), _wood, 0.25),
        Part(_duck, _yellow_with_eyes, 0.75),
        Part(lambda p: ellipsoid(translated(p, (0.55, 0.0, 0.76)), (0.15, 0.12, 0.05)), _plain(0.78, 0.20, 0.02), 0.5),
        Part(lambda p: torus(translated(p, (0.0, 0.0, 0.17)), 0.62, 0.11), _striped, 0.45),
        Part(lambda p: block(_in_cube(p), (0.36, 0.36, 0.36), 0.04), _checks, 0.35),
        Part(
            lambda p: ellipsoid(translated(p, (0.55, -0.72, 0.19)), (0.13, 0.13, 0.13)), _plain(0.05, 0.36, 0.10), 0.9
        ),
        Part(
            lambda p: ellipsoid(translated(p, (-0.55, 0.74, 0.23)), (0.17, 0.17, 0.17)), _plain(0.55, 0.05, 0.32), 0.9
        ),
    ),
    lower=(-1.12, -1.12, -0.08),
    upper=(1.12, 1.12, 1.10),
    fillet=0.06,
)

STILL_LIVES = {life.name: life for life in (DUCK,)}
# Side of the images in pixels.
SIDE = 160
# Number of views for training and for testing.
TRAIN, TEST = 40, 8
# Of all cameras, in degrees.
FIELD_OF_VIEW = 40.0
# Of all cameras from the point that they look at, in units of the scene.
DISTANCE = 3.6
# The point that all cameras look at.
FOCUS = (0.0, 0.0, 0.25)


def still_life(name: str) -> StillLife:
    """The scene of that name. Raises BadInput where there is none."""
    if name not in STILL_LIVES:
        raise BadInput(f"procedural:{name}: there is no such scene; there is {', '.join(STILL_LIVES)}")
    return STILL_LIVES[name]


def cameras() -> list[Camera]:
    """The cameras of every scene.

    Those for training are on a spiral over the upper half of a sphere, those for testing on a zigzag around it.
    """
    intrinsics = Intrinsics.pinhole(SIDE, SIDE, 0.5 * SIDE / np.tan(np.radians(FIELD_OF_VIEW) / 2))
    spiral = [(i * 180 * (3 - 5**0.5), np.degrees(np.arcsin(0.02 + 0.9 * (i + 0.5) / TRAIN))) for i in range(TRAIN)]
    ring = [(360 * (i + 0.3) / TEST, 24.0 + 8 * (-1) ** i) for i in range(TEST)]
    found = []
    for split, angles in (("train", spiral), ("test", ring)):
        for index, (azimuth, elevation) in enumerate(np.radians(angles)):
            offset = np.array(
                [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
            )
            pose = look_at(np.array(FOCUS) + DISTANCE * offset, FOCUS)
            found.append(Camera(pose, intrinsics, name=f"{split}/{index:03}", split=split))
    return found
