"""Projection: the convention of pixels and axes, and distortions against their definitions."""

import math

import numpy as np
import pytest

from scenes.posed.camera import ARIA_COEFFICIENTS, Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.projection import pixel_directions, project

PIXELS = np.random.default_rng(0).random((500, 2)) * [540, 960]


def test_pinhole_directions_have_y_up_and_look_along_minus_z():
    intrinsics = Intrinsics(4, 2, fl_x=2.0, fl_y=4.0, cx=2.0, cy=1.0)
    found = pixel_directions(intrinsics, np.array([0.5, 2.0]), np.array([0.5, 1.0]))
    expected = np.array([-0.75, 0.125, -1.0])
    np.testing.assert_allclose(found, [expected / np.linalg.norm(expected), [0, 0, -1]], atol=1e-15)


def test_rays_begin_at_the_camera_and_follow_its_axes():
    pose = np.array([[0.0, 0, 1, 5], [1, 0, 0, 6], [0, 1, 0, 7]])
    origins, directions = Camera(pose, Intrinsics.pinhole(4, 2, 2.0)).rays_through([2.0, 2.0], [1.0, 1.0])
    np.testing.assert_allclose(origins, [[5, 6, 7]] * 2)
    np.testing.assert_allclose(directions, [[-1, 0, 0]] * 2)


def distorted(u, v, k1, k2, p1, p2):
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2 * r2
    return u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v


@pytest.mark.parametrize(
    "distortion", [(0.0578421, -0.0805099, -0.000980296, 0.00015575), (-0.2, 0.05, 0.01, -0.01), (0.3, 0.1, 0.0, 0.0)]
)
def test_opencv_distortion_is_undone(distortion):
    intrinsics = Intrinsics(
        540, 960, fl_x=687.76, fl_y=687.245, cx=277.279, cy=482.634, model="opencv", distortion=distortion
    )
    directions = pixel_directions(intrinsics, PIXELS[:, 0], PIXELS[:, 1])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    u, v = distorted(-directions[:, 0] / directions[:, 2], directions[:, 1] / directions[:, 2], *distortion)
    np.testing.assert_allclose(
        np.stack([u * intrinsics.fl_x + intrinsics.cx, v * intrinsics.fl_y + intrinsics.cy], axis=1), PIXELS, atol=1e-8
    )


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0), (0.05, -0.01, 0.002, -0.0003)])
def test_fisheye_distortion_is_undone(distortion):
    intrinsics = Intrinsics(
        540, 960, fl_x=300.0, fl_y=310.0, cx=270.0, cy=480.0, model="fisheye", distortion=distortion
    )
    directions = pixel_directions(intrinsics, PIXELS[:, 0], PIXELS[:, 1])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    angle, around = np.arccos(-directions[:, 2]), np.arctan2(-directions[:, 1], directions[:, 0])
    radius = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(distortion)))
    np.testing.assert_allclose(
        np.stack([radius * np.cos(around) * 300 + 270, radius * np.sin(around) * 310 + 480], axis=1), PIXELS, atol=1e-8
    )
    assert float(angle.max()) > math.radians(80)


def test_distortions_that_fold_over_give_finite_directions():
    intrinsics = Intrinsics(
        540, 960, fl_x=200.0, fl_y=200.0, cx=270.0, cy=480.0, model="opencv", distortion=(-0.5, 0.0, 0.0, 0.0)
    )
    assert np.isfinite(pixel_directions(intrinsics, PIXELS[:, 0], PIXELS[:, 1])).all()


@pytest.mark.parametrize(
    "intrinsics",
    [
        Intrinsics.pinhole(60, 60, 70.0),
        Intrinsics(
            *(60, 40),
            **{"fl_x": 70.0, "fl_y": 68.0, "cx": 29.0, "cy": 21.0, "model": "opencv"},
            distortion=(0.3, -0.1, 0.003, -0.002, 0.02, 0.25, -0.08, 0.01),
        ),
        Intrinsics(
            *(60, 40),
            **{"fl_x": 30.0, "fl_y": 31.0, "cx": 29.0, "cy": 21.0, "model": "fisheye"},
            distortion=(0.03, -0.01, 0.002, -0.001, 0.004, -0.003, 0.006, 0.002),
        ),
        Intrinsics.aria(
            *(
                60,
                40,
                dict(
                    zip(
                        ARIA_COEFFICIENTS,
                        (0.03, -0.02, 0.004, -0.002, 5e-4, -1e-4, 4e-3, -3e-3, 6e-3, 2e-3, -4e-3, 1e-3),
                    )
                ),
            ),
            **{"fl_x": 30.0, "fl_y": 31.0, "cx": 29.0, "cy": 21.0},
        ),
        Intrinsics(
            60, 40, fl_x=70.0, fl_y=68.0, cx=29.0, cy=21.0, model="opencv", distortion=(0.05, -0.02, 0.003, -0.002)
        ),
        Intrinsics(
            60, 40, fl_x=30.0, fl_y=31.0, cx=29.0, cy=21.0, model="fisheye", distortion=(0.03, -0.01, 0.002, -0.001)
        ),
    ],
)
def test_points_on_rays_are_projected_to_their_pixels(intrinsics):
    camera = Camera(look_at((3.0, 1.0, 2.0), (0.2, 0.1, 0.0)), intrinsics)
    random = np.random.default_rng(0)
    x, y = random.uniform(0, intrinsics.width, 300), random.uniform(0, intrinsics.height, 300)
    origins, directions = camera.rays_through(x, y)
    along = random.uniform(0.5, 9.0, 300)
    found_x, found_y, depth = project(camera, origins + along[:, None] * directions)
    np.testing.assert_allclose(np.stack([found_x, found_y]), np.stack([x, y]), atol=1e-6)
    np.testing.assert_allclose(depth, along * (directions @ -camera.pose[:, 2]), atol=1e-9)
    assert (project(camera, camera.pose[:, 3] + camera.pose[:, 2] * np.array([[1.0], [2.0]]))[2] < 0).all()


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("FULL_OPENCV", [50, 52, 31, 19, -0.3, 0.1, 0.002, -0.003, -0.02, 0.05, 0.03, -0.01]),
        ("THIN_PRISM_FISHEYE", [30, 32, 31, 19, 0.05, -0.01, 0.004, -0.003, 0.002, -0.0004, 0.006, 0.002]),
        ("OPENCV_FISHEYE", [30, 32, 31, 19, 0.05, -0.01, 0.002, -0.0004]),
        ("RADIAL_FISHEYE", [30, 31, 19, 0.05, -0.01]),
        ("RADIAL", [50, 31, 19, -0.2, 0.05]),
        ("FISHEYE", [30, 32, 31, 19]),
        (
            "RAD_TAN_THIN_PRISM_FISHEYE",
            [30, 32, 31, 19, 0.05, -0.01, 2e-3, -4e-4, 1e-4, -2e-5, 4e-3, -3e-3, 6e-3, 2e-3, -5e-3, 1e-3],
        ),
    ],
)
def test_lenses_with_all_their_coefficients_agree_with_colmap(model, values):
    pycolmap = pytest.importorskip("pycolmap")
    from scenes.posed.colmap import MODEL_NAMES, _intrinsics

    number = next(number for number, name in MODEL_NAMES.items() if name == model)
    assert number == int(pycolmap.CameraModelId.__members__[model])
    ours = Camera(np.eye(3, 4), _intrinsics(model, 60, 40, tuple(values)))
    theirs = pycolmap.Camera(model=model, width=60, height=40, params=values)
    points = np.random.default_rng(0).uniform((-0.5, -0.4, 1.0), (0.5, 0.4, 1.2), (200, 3))
    x, y, _ = project(ours, points * [1, -1, -1])
    np.testing.assert_allclose(np.stack([x, y], axis=1), theirs.img_from_cam(points), atol=1e-9)
