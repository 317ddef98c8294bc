"""The axes and the scale of a scene whose cameras were found: z up, looking at the origin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenes.posed.pose import focus_point
from scenes.posed.up import up_axis
from scenes.posed.view import PosedViews

# Mean distance of the cameras from the focus point once the scene is normalized, in its own units.
DISTANCE = 4.0


def normalized(scene: PosedViews) -> PosedViews:
    """The scene with z up, and its cameras looking at the origin from the mean distance `DISTANCE`.

    Up is found by `scenes.posed.up.up_axis`.
    """
    poses = np.stack([view.pose for view in scene.views])
    up = up_axis(poses)
    right = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(up, right), up])
    centre = focus_point(poses)
    scale = DISTANCE / max(float(np.linalg.norm(poses[:, :, 3] - centre, axis=1).mean()), 1e-9)
    views = tuple(
        replace(view, pose=np.column_stack([rotation @ view.pose[:, :3], rotation @ (view.position - centre) * scale]))
        for view in scene.views
    )
    points = None if scene.points is None else (scene.points - centre) @ rotation.T * scale
    return replace(scene, views=views, points=points)
