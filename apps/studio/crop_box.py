"""What the page needs to draw a crop box over a view of a solid field: the whole box, and how a camera projects it."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np

from apps.studio.view_renderer import OpenRun
from fields.export.viewers import MIN_SIDE
from fields.models.field import PointField, RadianceField
from fields.surface.implicit import Implicit, implicit_shape
from fields.surface.radiance import Radiance
from fields.surface.scene_mesh import implicit_distance
from scenes.errors import BadInput

# Header of a view that says how it projects points; only where it is asked for.
HEADER = "X-Projection"


def whole_box(opened: OpenRun) -> dict[str, Any]:
    """The lower and the upper corner of a solid field, in units of the fitted file. Raises BadInput for flat ones."""
    cube = _cube(opened)
    lower, upper = (cube.to_file(corner) for corner in (np.zeros(3), np.array(cube.extents)))
    return {"lower": lower.tolist(), "upper": upper.tolist()}


def projection(opened: OpenRun, azimuth: float, elevation: float, distance: float) -> np.ndarray:
    """The matrix `[3, 4]` from points in units of the fitted file to a view: (x w, y w, w), x and y from 0 to 1.

    The lens of a scene's cameras is taken for a pinhole. Arguments as of `fields.export.viewers.Viewer.orbit`.
    """
    camera = opened.viewer.camera(azimuth, elevation, distance, MIN_SIDE)
    lens, rotation = camera.intrinsics, camera.pose[:, :3].T
    # A camera looks along -z, and rows go down.
    pixels = np.array([[lens.fl_x, 0, -lens.cx], [0, -lens.fl_y, -lens.cy], [0, 0, -1]], float)
    pixels[0] /= lens.width
    pixels[1] /= lens.height
    matrix = pixels @ np.concatenate([rotation, -rotation @ camera.pose[:, 3:]], axis=1)
    if isinstance(opened.field, RadianceField):
        return matrix
    cube = _cube(opened)
    into = np.eye(4)
    into[:3, :3] /= cube.side
    into[:3, 3] = -cube.corner / cube.side
    return matrix @ into


def header(opened: OpenRun, azimuth: float, elevation: float, distance: float) -> dict[str, str]:
    """The projection of a view as a header of its response: twelve numbers, row by row."""
    rows = projection(opened, azimuth, elevation, distance)
    return {HEADER: json.dumps([round(float(value), 9) for value in rows.reshape(-1)])}


def _cube(opened: OpenRun) -> Implicit:
    """The field's surface, of which only the box counts here."""
    if not opened.viewer.solid:
        raise BadInput("only shapes and scenes have a crop box")
    if isinstance(opened.field, RadianceField):
        return implicit_distance(Radiance(opened.field))
    return implicit_shape(cast(PointField, opened.field))
