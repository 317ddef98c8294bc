"""Where cameras go."""

from __future__ import annotations

import numpy as np

UP = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def looking_at(position, target, up: str | tuple[float, float, float] | np.ndarray = "z") -> np.ndarray:
    """The pose `[3, 4]` float64 (camera to world, OpenGL axes) of a camera at `position` that sees `target` in the middle and
    the direction `up` (an axis's name or a vector) upright. ValueError where it would look straight along `up`."""
    position, target = np.asarray(position, np.float64), np.asarray(target, np.float64)
    upright = np.asarray(UP[up] if isinstance(up, str) else up, np.float64)
    backward = position - target
    right = np.cross(upright, backward)
    if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(backward) * np.linalg.norm(upright):
        raise ValueError(f"a camera at {position.tolist()} cannot look at {target.tolist()} with {upright.tolist()} upright")
    right, backward = right / np.linalg.norm(right), backward / np.linalg.norm(backward)
    return np.stack([right, np.cross(backward, right), backward, position], axis=1)
