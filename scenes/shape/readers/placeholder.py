"""Colours that programs write for meshes without colours."""

from __future__ import annotations

import numpy as np

# Of a whole mesh: white, Blender's default (glTF and MTL), 3ds Max's, older Blender's, and what this project writes
# (in sRGB and in linear light).
PLACEHOLDERS = (
    (1.0, 1.0, 1.0),
    (0.8, 0.8, 0.8),
    (0.588, 0.588, 0.588),
    (0.64, 0.64, 0.64),
    (0.84, 0.82, 0.79),
    (0.6724, 0.6376, 0.5870),
)


def is_placeholder(corners: np.ndarray) -> bool:
    """Whether all corners `[F, 3, 3]` have one colour that stands for none."""
    if not corners.size or not (corners == corners[0, 0]).all():
        return False
    return any(np.allclose(corners[0, 0], color, atol=1e-3) for color in PLACEHOLDERS)
