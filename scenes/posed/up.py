"""Which way is up in a scene, from how its cameras were held."""

from __future__ import annotations

import numpy as np

# How far the direction across the right axes may be from the cameras' mean up axis, as a cosine.
MIN_AGREEMENT = 0.7
# The right axes span a plane where the second singular value is at least this many times the third. Of cameras that
# stand side by side they are nearly parallel, and the direction across them is a matter of noise.
MIN_PLANARITY = 2.0


def up_axis(poses: np.ndarray) -> np.ndarray:
    """The unit vector `[3]` float64 that points up, of poses `[N, 3, 4]` (camera to world, OpenGL axes).

    It is the direction across all cameras' right axes, as photographs have a level horizon however far they look up or
    down; where there is no such direction, the mean of the cameras' up axes.
    """
    up = poses[:, :, 1].mean(axis=0)
    up /= max(float(np.linalg.norm(up)), 1e-9)
    _, sizes, axes = np.linalg.svd(poses[:, :, 0], full_matrices=True)
    planar = len(sizes) == 3 and sizes[1] >= MIN_PLANARITY * sizes[2]
    if planar and abs(axes[2] @ up) > MIN_AGREEMENT:
        up = axes[2] * np.sign(axes[2] @ up)
    if not up.any():
        return np.array([0.0, 0.0, 1.0])
    return up
