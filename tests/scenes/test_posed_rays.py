"""Rays of pixels: the convention, and lenses against their own forward formulas."""

import math

import numpy as np
import pytest

from scenes.posed.rays import directions_of, rays_of
from scenes.posed.view import Intrinsics, View

PLACES = np.random.default_rng(0).random((500, 2)) * [540, 960]


def test_pinhole():
    intrinsics = Intrinsics(4, 2, 2.0, 4.0, 2.0, 1.0)
    found = directions_of(intrinsics, np.array([0.5, 2.0]), np.array([0.5, 1.0]))
    expected = np.array([-0.75, 0.125, -1.0])
    np.testing.assert_allclose(found, [expected / np.linalg.norm(expected), [0, 0, -1]], atol=1e-15)


def test_origins_and_axes():
    pose = np.array([[0.0, 0, 1, 5], [1, 0, 0, 6], [0, 1, 0, 7]])
    origins, directions = rays_of(
        View("v", None, pose, Intrinsics(4, 2, 2.0, 2.0, 2.0, 1.0), "train"), [2.0, 2.0], [1.0, 1.0]
    )
    np.testing.assert_allclose(origins, [[5, 6, 7]] * 2)
    np.testing.assert_allclose(directions, [[-1, 0, 0]] * 2)


def distorted(u, v, k1, k2, p1, p2):
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2 * r2
    return u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v


@pytest.mark.parametrize(
    "distortion", [(0.0578421, -0.0805099, -0.000980296, 0.00015575), (-0.2, 0.05, 0.01, -0.01), (0.3, 0.1, 0.0, 0.0)]
)
def test_distortion_is_undone(distortion):
    intrinsics = Intrinsics(540, 960, 687.76, 687.245, 277.279, 482.634, "opencv", distortion)
    directions = directions_of(intrinsics, PLACES[:, 0], PLACES[:, 1])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    u, v = distorted(-directions[:, 0] / directions[:, 2], directions[:, 1] / directions[:, 2], *distortion)
    np.testing.assert_allclose(
        np.stack([u * intrinsics.fl_x + intrinsics.cx, v * intrinsics.fl_y + intrinsics.cy], axis=1), PLACES, atol=1e-8
    )


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0), (0.05, -0.01, 0.002, -0.0003)])
def test_fisheye_is_undone(distortion):
    intrinsics = Intrinsics(540, 960, 300.0, 310.0, 270.0, 480.0, "fisheye", distortion)
    directions = directions_of(intrinsics, PLACES[:, 0], PLACES[:, 1])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    angle, around = np.arccos(-directions[:, 2]), np.arctan2(-directions[:, 1], directions[:, 0])
    radius = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(distortion)))
    np.testing.assert_allclose(
        np.stack([radius * np.cos(around) * 300 + 270, radius * np.sin(around) * 310 + 480], axis=1), PLACES, atol=1e-8
    )
    assert float(angle.max()) > math.radians(80)


def test_lenses_that_fold_over_give_finite_rays():
    intrinsics = Intrinsics(540, 960, 200.0, 200.0, 270.0, 480.0, "opencv", (-0.5, 0.0, 0.0, 0.0))
    assert np.isfinite(directions_of(intrinsics, PLACES[:, 0], PLACES[:, 1])).all()
