"""Ways of cameras."""

import json

import numpy as np
import pytest

from scenes.errors import BadInput
from scenes.posed.path import between, looking_at, read_path
from scenes.posed.view import Intrinsics


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
    upright = np.array(
        {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}.get(up, up) if isinstance(up, str) else up, float
    )
    assert abs(upright @ rotation[:, 0]) < 1e-12 and upright @ rotation[:, 1] > 0


def test_looking_straight_up_is_refused():
    with pytest.raises(ValueError, match="cannot look"):
        looking_at((0, 0, 3), (0, 0, 0), "z")


def test_a_way_goes_through_its_keys():
    keys = ring(5)[:4]
    way = between(keys, 31)
    np.testing.assert_allclose(way[::10], keys, atol=1e-9)
    rotation = way[:, :, :3]
    np.testing.assert_allclose(
        rotation.transpose(0, 2, 1) @ rotation, np.broadcast_to(np.eye(3), (31, 3, 3)), atol=1e-9
    )
    steps = np.linalg.norm(np.diff(way[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.6 * steps.min()


def test_a_closed_way_is_the_circle_that_its_keys_lie_on():
    way = between(ring(8), 80, closed=True)
    np.testing.assert_allclose(way[::10], ring(8), atol=1e-9)
    np.testing.assert_allclose(way, ring(80), atol=0.02)
    steps = np.linalg.norm(np.diff(np.concatenate([way, way[:1]])[:, :, 3], axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()


@pytest.mark.parametrize(
    "poses, count, message",
    [
        (ring(8)[:1], 5, "two poses"),
        (ring(8), 1, "two frames"),
        (ring(8)[0], 5, "two poses"),
        (np.stack([looking_at((3, 0, 0), (0, 0, 0)), looking_at((-3, 0, 0), (0, 0, 0))]), 5, "opposite"),
    ],
)
def test_ways_that_are_none(poses, count, message):
    with pytest.raises(ValueError, match=message):
        between(poses, count)


LENS = Intrinsics(64, 48, 50.0, 50.0, 32.0, 24.0)
MATRIX = [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


@pytest.fixture
def file(tmp_path):
    def write(content):
        (tmp_path / "path.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / "path.json"

    return write


def test_frames(file):
    found = read_path(
        file(
            {
                "camera_angle_x": 1.0,
                "frames": [{"transform_matrix": MATRIX, "time": 0.5}, {"transform_matrix": MATRIX, "w": 32, "h": 24}],
            }
        ),
        LENS,
    )
    assert [camera.time for camera in found] == [0.5, None]
    assert [(c.intrinsics.width, c.intrinsics.height) for c in found] == [(64, 48), (32, 24)]
    assert found[0].intrinsics.fl_x == pytest.approx(32 / np.tan(0.5)) and found[1].intrinsics.fl_x == pytest.approx(
        16 / np.tan(0.5)
    )
    np.testing.assert_allclose(found[0].pose[:, 3], (1, 2, 3))
    assert read_path(file({"frames": [{"transform_matrix": MATRIX}]}), LENS)[0].intrinsics == LENS


def test_nerfstudio(file):
    flat = [x for row in MATRIX for x in row]
    content = {
        "render_width": 160,
        "render_height": 120,
        "fps": 24,
        "keyframes": [],
        "crop": None,
        "camera_path": [
            {"camera_to_world": flat, "fov": 60, "aspect": 1.3},
            {"camera_to_world": flat, "fov": 90, "render_time": 0.25},
        ],
    }
    found = read_path(file(content), LENS)
    assert [round(c.intrinsics.fl_x, 3) for c in found] == [round(60 / np.tan(np.pi / 6), 3), 60.0]
    assert (
        all(
            (c.intrinsics.width, c.intrinsics.height, c.intrinsics.fl_x) == (160, 120, c.intrinsics.fl_y) for c in found
        )
        and found[1].time == 0.25
    )
    np.testing.assert_allclose(found[0].pose, np.array(MATRIX)[:3])


def test_keys(file):
    keys = [
        {"position": [3, 0, 1], "target": [0, 0, 0], "fov": 40, "time": 0.0},
        {"position": [0, 3, 1], "target": [0, 0, 0], "fov": 60, "time": 1.0},
        {"position": [-3, 0, 1], "target": [0, 0, 0], "fov": 40, "time": 0.5},
    ]
    found = read_path(file({"keys": keys, "count": 21}), LENS)
    assert len(found) == 21
    for index, key in zip((0, 10, 20), keys):
        np.testing.assert_allclose(found[index].pose, looking_at(key["position"], key["target"]), atol=1e-9)
        assert (
            found[index].intrinsics.fl_y == pytest.approx(24 / np.tan(np.radians(key["fov"]) / 2))
            and found[index].time == key["time"]
        )
    assert found[5].time == 0.5 and found[0].intrinsics.fl_x > found[5].intrinsics.fl_x > found[10].intrinsics.fl_x
    assert len(read_path(file({"keys": keys}), LENS)) == 90
    around = read_path(
        file(
            {
                "keys": [
                    {"position": [3 * np.cos(a), 3 * np.sin(a), 1], "target": [0, 0, 0]}
                    for a in np.arange(6) * np.pi / 3
                ],
                "closed": True,
                "count": 60,
            }
        ),
        LENS,
    )
    np.testing.assert_allclose(np.stack([c.pose for c in around]), ring(60), atol=0.03)
    assert all(c.time is None and c.intrinsics.fl_x == pytest.approx(50.0) and c.intrinsics.width == 64 for c in around)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not JSON"),
        ("[]", "no list of frames"),
        ({"frames": []}, "no list of frames"),
        ({"camera_path": 7}, "no list of camera_path"),
        ({"keys": [{"transform_matrix": MATRIX}]}, "two keys or more"),
        ({"keys": [{"transform_matrix": MATRIX}] * 2, "count": 1}, "count is 1"),
        ({"keys": [{"position": [1, 2], "target": [0, 0, 0]}] * 2}, "key 0: has neither"),
        ({"keys": [{"position": [0, 0, 1], "target": [0, 0, 0]}] * 2}, "key 0: a camera at"),
        ({"keys": [{"position": [1, 0, 1], "target": [0, 0, 0], "fov": 0}] * 2}, "key 0: its fov is 0"),
        (
            {"keys": [{"position": [1, 0, 0], "target": [0, 0, 0]}, {"position": [-1, 0, 0], "target": [0, 0, 0]}]},
            "opposite directions",
        ),
        ({"frames": [{"transform_matrix": [[1]]}]}, "frame 0: its camera is no matrix"),
        ({"frames": [{"transform_matrix": MATRIX, "time": 7}]}, "frame 0: its time"),
        ({"camera_path": [{"camera_to_world": [1, 2]}]}, "frame 0: its camera_to_world"),
        (
            {"camera_path": [{"camera_to_world": list(np.eye(4).reshape(-1)), "camera_type": "equirectangular"}]},
            "type equirectangular",
        ),
    ],
)
def test_paths_that_are_wrong(file, content, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_path(file(content), LENS)
    assert "\n" not in str(caught.value)
