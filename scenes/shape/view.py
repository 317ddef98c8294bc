"""The default view of a shape, and a preview of the file's own surface from there."""

from __future__ import annotations

import numpy as np

from scenes.posed.pose import orbit
from scenes.shape.base import Surface

# Degrees around the shape from the front, and above the horizon.
AZIMUTH = 30.0
ELEVATION = 15.0
# Of the camera from the middle of the unit cube, in unit cubes.
DISTANCE = 1.9
# Degrees across the shorter side of the image.
FIELD_OF_VIEW = 35.0
# Value of all channels behind the shape.
BACKGROUND = 1.0
# sRGB of a shape without colours.
PALE = (0.84, 0.82, 0.79)


def preview_image(surface: Surface, side: int) -> np.ndarray:
    """An image `[side, side, 3]` float32 sRGB of a matt surface lit from the camera; points are drawn as squares."""
    camera = orbit(AZIMUTH, ELEVATION, DISTANCE, (side, side), field_of_view=FIELD_OF_VIEW)
    _, directions = camera.rays()
    seen = surface.visible(camera)
    colors = np.array(PALE) if seen.colors is None else seen.colors
    facing = np.abs((seen.normals * directions[seen.pixels]).sum(axis=1, keepdims=True))
    image = np.full((side * side, 3), BACKGROUND, np.float32)
    image[seen.pixels] = colors * (0.25 + 0.75 * facing)
    return image.reshape(side, side, 3)
