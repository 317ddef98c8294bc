"""Space in front of points on surfaces that cameras see."""

import numpy as np

from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.point_carving import in_front_of_points
from scenes.posed.pose import look_at

RADIUS = 0.25


def _ball(count=20_000):
    """Points on a ball in the middle of the unit cube, and on a wall behind it."""
    random = np.random.default_rng(1)
    directions = random.normal(size=(count, 3))
    ball = 0.5 + RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    wall = np.stack([np.full(count, 0.05), *random.uniform(-1, 2, (2, count))], axis=1)
    return ball, wall


def test_what_lies_before_the_points_is_empty_and_what_they_enclose_is_not():
    ball, wall = _ball()
    angle = np.linspace(-1.2, 1.2, 9)
    places = 0.5 + 2.0 * np.stack([np.cos(angle), np.sin(angle), 0.3 * np.cos(5 * angle)], axis=1)
    cameras = [Camera(look_at(place, [0.5, 0.5, 0.5], "z"), Intrinsics.pinhole(160, 120, 150)) for place in places]
    empty = in_front_of_points(cameras, np.concatenate([ball, wall]), np.zeros(3), 1.0, np.ones((32, 32, 32), bool))
    centres = (np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), axis=-1) + 0.5) / 32
    distance = np.linalg.norm(centres - 0.5, axis=-1)
    assert not empty[distance < RADIUS].any()
    assert not empty[centres[..., 0] < 0.05].any()
    before = (centres[..., 0] > 0.5) & (distance > RADIUS + 0.08)
    assert empty[before].mean() > 0.95
    among = centres[..., 1] > 0.4
    np.testing.assert_array_equal(
        in_front_of_points(cameras, np.concatenate([ball, wall]), np.zeros(3), 1.0, among), empty & among
    )


def test_one_camera_does_not_decide():
    ball, wall = _ball()
    camera = Camera(look_at([2.5, 0.5, 0.5], [0.5, 0.5, 0.5], "z"), Intrinsics.pinhole(160, 120, 150))
    cells = np.ones((16, 16, 16), bool)
    assert not in_front_of_points([camera], np.concatenate([ball, wall]), np.zeros(3), 1.0, cells).any()
