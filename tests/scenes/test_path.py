"""Ways of cameras."""

import numpy as np
import pytest

from scenes.posed.path import between, looking_at


def ring(count, radius=3.0, height=1.0):
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([looking_at((radius * np.cos(a), radius * np.sin(a), height), (0, 0, 0)) for a in angles])


@pytest.mark.parametrize("up", ["x", "y", "z", (0.1, -0.2, 1.0)])
def test_looking_at_sees_its_target_upright(up):
    pose = looking_at((1.0, 2.0, 3.0), (0.3, -0.5, 0.2), up)
    rotation = pose[:, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0
    away = np.array([0.3, -0.5, 0.2]) - pose[:, 3]
    np.testing.assert_allclose(-rotation[:, 2], away / np.linalg.norm(away), atol=1e-12)
    upright = np.array({"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}.get(up, up) if isinstance(up, str) else up, float)
    assert abs(upright @ rotation[:, 0]) < 1e-12 and upright @ rotation[:, 1] > 0


def test_looking_straight_up_is_refused():
    with pytest.raises(ValueError, match="cannot look"):
        looking_at((0, 0, 3), (0, 0, 0), "z")


def test_a_way_goes_through_its_keys():
    keys = ring(5)[:4]
    way = between(keys, 31)
    np.testing.assert_allclose(way[::10], keys, atol=1e-9)
    rotation = way[:, :, :3]
    np.testing.assert_allclose(rotation.transpose(0, 2, 1) @ rotation, np.broadcast_to(np.eye(3), (31, 3, 3)), atol=1e-9)
    steps = np.linalg.norm(np.diff(way[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.6 * steps.min()


def test_a_closed_way_is_the_circle_that_its_keys_lie_on():
    way = between(ring(8), 80, closed=True)
    np.testing.assert_allclose(way[::10], ring(8), atol=1e-9)
    np.testing.assert_allclose(way, ring(80), atol=0.02)
    steps = np.linalg.norm(np.diff(np.concatenate([way, way[:1]])[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()


@pytest.mark.parametrize("poses, count, message", [
    (ring(8)[:1], 5, "two poses"),
    (ring(8), 1, "two frames"),
    (ring(8)[0], 5, "two poses"),
    (np.stack([looking_at((3, 0, 0), (0, 0, 0)), looking_at((-3, 0, 0), (0, 0, 0))]), 5, "opposite"),
])
def test_ways_that_are_none(poses, count, message):
    with pytest.raises(ValueError, match=message):
        between(poses, count)
