"""Vertex attributes in few bytes, as glTF's extension KHR_mesh_quantization allows: 20 bytes a vertex instead of 32."""

from __future__ import annotations

import itertools

import numpy as np

# Largest level of a position.
POSITION_LEVELS = 65535
# Largest level of a component of a direction.
DIRECTION_LEVELS = 127
# Largest deviation from unit length, of a decoded direction. The Khronos validator tolerates 0.00674.
LENGTH_TOLERANCE = 0.006


def quantize_positions(vertices: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Positions `[V, 3]` as levels `[V, 3]` uint16, with the scale and the offset `[3]` that give them back.

    The scale is the same for all axes, so that a node that applies it leaves normals as they are. A position is off by
    half a scale at most: 1/131,070 of the longest side.
    """
    vertices = np.asarray(vertices, np.float64)
    offset = vertices.min(axis=0)
    scale = float((vertices.max(axis=0) - offset).max()) / POSITION_LEVELS or 1.0
    levels = np.rint((vertices - offset) / scale)
    return np.clip(levels, 0, POSITION_LEVELS).astype(np.uint16), scale, offset


def quantize_directions(directions: np.ndarray) -> np.ndarray:
    """Unit vectors `[n, 3]` as int8 levels of 1/127, each decoding to unit length within `LENGTH_TOLERANCE`.

    The nearest level in each component is off by up to 0.0068 in length. Where that is too much, the level below or
    above is taken in some component, whichever gives the length that is nearest to 1.
    """
    scaled = np.asarray(directions, np.float64) * DIRECTION_LEVELS
    levels = np.rint(scaled)
    error = np.abs(np.linalg.norm(levels, axis=1) / DIRECTION_LEVELS - 1)
    far = np.flatnonzero(error > LENGTH_TOLERANCE)
    if len(far):
        steps = np.array(list(itertools.product((0, 1), repeat=3)))
        candidates = np.clip(np.floor(scaled[far])[:, None] + steps, -DIRECTION_LEVELS, DIRECTION_LEVELS)
        lengths = np.abs(np.linalg.norm(candidates, axis=2) / DIRECTION_LEVELS - 1)
        levels[far] = candidates[np.arange(len(far)), lengths.argmin(axis=1)]
    return levels.astype(np.int8)


def quantize_tangents(tangents: np.ndarray) -> np.ndarray:
    """Tangents `[n, 4]`, unit with a sign of 1 or -1, as int8 levels of 1/127."""
    sign = np.where(tangents[:, 3:] < 0, -DIRECTION_LEVELS, DIRECTION_LEVELS).astype(np.int8)
    return np.concatenate([quantize_directions(tangents[:, :3]), sign], axis=1)


def quantize_uv(uv: np.ndarray) -> np.ndarray | None:
    """Texture coordinates `[n, 2]` in [0, 1] as uint16 levels of 1/65535; None where some lie outside."""
    if uv.min() < 0 or uv.max() > 1:
        return None
    return np.rint(np.asarray(uv, np.float64) * 65535).astype(np.uint16)
