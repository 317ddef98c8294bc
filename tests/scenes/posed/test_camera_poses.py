"""Poses of cameras: looking at a target, on an orbit, and between keys."""

import math

import numpy as np
import pytest

from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import interpolate_poses, look_at, orbit, turntable_cameras


def ring_of_poses(count, radius=3.0, height=1.0):
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([look_at((radius * np.cos(a), radius * np.sin(a), height), (0, 0, 0)) for a in angles])


@pytest.mark.parametrize("up", ["x", "y", "z", (0.1, -0.2, 1.0)])
def test_look_at_sees_its_target_upright(up):
    pose = look_at((1.0, 2.0, 3.0), (0.3, -0.5, 0.2), up)
    rotation = pose[:, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0
    away = np.array([0.3, -0.5, 0.2]) - pose[:, 3]
    np.testing.assert_allclose(-rotation[:, 2], away / np.linalg.norm(away), atol=1e-12)
    upright = np.array(
        {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}.get(up, up) if isinstance(up, str) else up, float
    )
    assert abs(upright @ rotation[:, 0]) < 1e-12 and upright @ rotation[:, 1] > 0


def test_look_at_refuses_to_look_along_up():
    with pytest.raises(ValueError, match="cannot look"):
        look_at((0, 0, 3), (0, 0, 0), "z")


def test_open_path_goes_through_its_keys():
    keys = ring_of_poses(5)[:4]
    path = interpolate_poses(keys, 31)
    np.testing.assert_allclose(path[::10], keys, atol=1e-9)
    rotation = path[:, :, :3]
    np.testing.assert_allclose(
        rotation.transpose(0, 2, 1) @ rotation, np.broadcast_to(np.eye(3), (31, 3, 3)), atol=1e-9
    )
    steps = np.linalg.norm(np.diff(path[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.6 * steps.min()


def test_closed_path_is_the_circle_through_its_keys():
    path = interpolate_poses(ring_of_poses(8), 80, closed=True)
    np.testing.assert_allclose(path[::10], ring_of_poses(8), atol=1e-9)
    np.testing.assert_allclose(path, ring_of_poses(80), atol=0.02)
    steps = np.linalg.norm(np.diff(np.concatenate([path, path[:1]])[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()


@pytest.mark.parametrize(
    "poses, count, message",
    [
        (ring_of_poses(8)[:1], 5, "two key poses"),
        (ring_of_poses(8), 1, "two frames"),
        (ring_of_poses(8)[0], 5, "two key poses"),
        (np.stack([look_at((3, 0, 0), (0, 0, 0)), look_at((-3, 0, 0), (0, 0, 0))]), 5, "opposite"),
    ],
)
def test_paths_that_are_not_defined_are_refused(poses, count, message):
    with pytest.raises(ValueError, match=message):
        interpolate_poses(poses, count)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_orbit_sees_its_target_upright(up):
    axis = "xyz".index(up)
    for azimuth, elevation in [(0.0, 0.0), (30.0, 20.0), (200.0, -50.0), (-75.0, 80.0)]:
        camera = orbit(azimuth, elevation, 2.5, (33, 17), target=(0.1, 0.2, 0.3), up=up)
        rotation = camera.pose[:, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        offset = camera.position - (0.1, 0.2, 0.3)
        assert np.linalg.norm(offset) == pytest.approx(2.5)
        assert math.degrees(math.asin(offset[axis] / 2.5)) == pytest.approx(elevation)
        assert rotation[axis, 0] == pytest.approx(0.0, abs=1e-12)  # the horizon is level
        assert rotation[axis, 1] > 0
        middle = camera.rays()[1].reshape(17, 33, 3)[8, 16]
        np.testing.assert_allclose(middle, -offset / 2.5, atol=1e-6, rtol=0)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_orbit_goes_to_the_right_with_azimuth(up):
    front = orbit(0.0, 0.0, 2.0, (8, 8), up=up)
    moved = orbit(10.0, 0.0, 2.0, (8, 8), up=up).position - front.position
    assert moved @ front.pose[:, 0] > 0.3


def test_field_of_view_spans_the_shorter_side():
    camera = orbit(0.0, 0.0, 2.0, (200, 100), field_of_view=60.0)
    assert camera.intrinsics.fl_x == camera.intrinsics.fl_y == pytest.approx(50 / math.tan(math.radians(30)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: orbit(0, 90, 1, (8, 8)), "no camera orbits"),
        (lambda: orbit(0, 0, 0, (8, 8)), "no camera orbits"),
        (lambda: orbit(0, 0, 1, (8, 8), field_of_view=180), "between 0 and 180"),
        (lambda: orbit(0, 0, 1, (8, 8), up="w"), "up is x, y or z"),
        (lambda: orbit(0, 0, 1, (0, 8)), "pixel"),
        (lambda: look_at((0, 1, 0), (0, 0, 0), "y"), "cannot look at"),
        (lambda: look_at((0, 0, 0), (0, 0, 0), "y"), "cannot look at"),
        (lambda: look_at((1, 0, 0), (0, 0, 0), "w"), "up is x, y or z"),
        (lambda: Camera(np.full((3, 4), math.nan), Intrinsics.pinhole(8, 8, 8.0)), "finite"),
        (lambda: Camera(np.eye(3, 4), Intrinsics.pinhole(8, 8, -1.0)), "focal"),
    ],
)
def test_cameras_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_turntable_has_the_mean_height_and_distance_of_the_cameras():
    intrinsics = Intrinsics.pinhole(8, 8, 8.0)
    cameras = [Camera(pose, intrinsics) for pose in ring_of_poses(6)]
    found = turntable_cameras(cameras, 12, intrinsics)
    positions = np.stack([camera.position for camera in found])
    np.testing.assert_allclose(positions[:, 2], 1.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(positions[:, :2], axis=1), 3.0, atol=0.01)
    assert [camera.time for camera in found] == [index / 12 for index in range(12)]
