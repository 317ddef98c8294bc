"""A glossy coat over baked colors: reflections of a few soft lights and of a bright sky, by Schlick's Fresnel term.

A texture cannot show them, as they move over the surface with the camera. A mirror shows nothing else.
"""

from __future__ import annotations

import numpy as np

from benchmarks.reconstruct.raycast import Hits, Model, interpolated

# Reflectance head-on (a varnish has 0.04, a car's paint 0.1), and the part of the matt color that stays.
REFLECTANCE, MATT = 0.09, 0.85
# Lights: direction, strength in linear light, and sharpness of the lobe in which they are seen (a Phong exponent).
LIGHTS = (
    ((0.5, -0.6, 0.62), 9.0, 90.0),
    ((-0.8, -0.1, 0.55), 5.0, 60.0),
    ((0.1, 0.9, 0.35), 4.0, 40.0),
    ((-0.2, -0.7, -0.65), 2.5, 30.0),
)
# Waves of the colored pattern around a mirror.
WAVES = np.array([[4.0, 1.0, 2.0], [1.5, 4.5, 2.5], [2.5, 2.0, 5.0]], np.float32)
# Brightness of the sky and of the ground in reflections, and how soft the horizon is.
SKY, GROUND, HORIZON = 0.9, 0.15, 0.25


def shine(model: Model, hits: Hits, towards: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Linear colors `[N, 3]` of matt ones `[N, 3]` under the coat, seen along `towards` `[N, 3]`."""
    facing, reflected = reflection(model, hits, towards)
    fresnel = REFLECTANCE + (1 - REFLECTANCE) * (1 - np.clip(facing, 0, 1)) ** 5
    return MATT * color + (fresnel * environment(reflected))[:, None].astype(np.float32)


def mirror(model: Model, hits: Hits, towards: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Linear colors `[N, 3]` of a mirror in a room with a colored pattern; the matt ones count for nothing."""
    _, reflected = reflection(model, hits, towards)
    pattern = 0.5 + 0.45 * np.sin(reflected.astype(np.float32) @ WAVES.T + np.array([0, 1, 2], np.float32))
    return 0.92 * pattern.astype(np.float32)


def reflection(model: Model, hits: Hits, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines `[N]` between normals and the way back to the eye, and directions `[N, 3]` in which light comes."""
    assert model.normals is not None
    normals = interpolated(model.normals, model.faces[hits.triangles], hits.weights)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    facing = -(normals * towards).sum(axis=1)
    return facing, towards + 2 * facing[:, None] * normals


def environment(directions: np.ndarray) -> np.ndarray:
    """Linear light `[N]` from directions `[N, 3]`, blurred by the roughness of the coat."""
    up = 0.5 + 0.5 * np.tanh(directions[:, 2] / HORIZON)
    light = GROUND + (SKY - GROUND) * up
    for place, strength, sharpness in LIGHTS:
        axis = (np.array(place) / np.linalg.norm(place)).astype(np.float32)
        light = light + strength * np.exp(sharpness * (directions @ axis - 1))
    return light
