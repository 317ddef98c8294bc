"""The crop box over a view: where the view's own rays say that its points are. See also `test_routes.py`."""

import json

import numpy as np
import pytest

from apps.studio import crop_box
from apps.studio.view_renderer import OpenRun


def opened(path):
    from fields.runs.run import Run

    run = Run.open(path)
    return OpenRun(run, run.load_field(), 0)


def seen_at(matrix, points):
    """Where points `[N, 3]` are in a view, `[N, 2]`."""
    projected = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    assert (projected[:, 2] > 0).all(), "they are before the camera"
    return projected[:, :2] / projected[:, 2:]


def check(found, to_file):
    """Points on the rays of some pixels, given in units of the file, project to these pixels."""
    camera = found.viewer.camera(70.0, 20.0, 1.7, 64)
    x, y = np.array([3.0, 40.0, 60.5]), np.array([50.0, 9.5, 32.0])
    origins, directions = camera.rays_through(x, y)
    matrix = crop_box.projection(found, 70.0, 20.0, 1.7)
    for depth in (0.7, 2.0):
        points = to_file(origins + depth * directions)
        np.testing.assert_allclose(seen_at(matrix, points), np.stack([x, y], axis=1) / 64, atol=1e-6)
    header = crop_box.header(found, 70.0, 20.0, 1.7)[crop_box.HEADER]
    np.testing.assert_allclose(np.reshape(json.loads(header), (3, 4)), matrix, atol=1e-8)


@pytest.mark.slow
def test_the_box_of_a_scene_is_in_its_own_units(scene):
    found = opened(scene)
    axes = found.field.domain.axes
    assert crop_box.whole_box(found) == {
        "lower": pytest.approx([axis.lower for axis in axes]),
        "upper": pytest.approx([axis.upper for axis in axes]),
    }
    if found.viewer.camera(0, 0, 1, 64).intrinsics.model == "pinhole":
        check(found, lambda points: points)
