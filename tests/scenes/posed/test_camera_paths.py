"""Files of camera paths."""

import json

import numpy as np
import pytest

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.path import read_path
from scenes.posed.pose import look_at

INTRINSICS = Intrinsics.pinhole(64, 48, 50.0)
MATRIX = [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


@pytest.fixture
def file(tmp_path):
    def write(content):
        (tmp_path / "path.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / "path.json"

    return write


def test_frames_give_one_camera_each(file):
    found = read_path(
        file(
            {
                "camera_angle_x": 1.0,
                "frames": [{"transform_matrix": MATRIX, "time": 0.5}, {"transform_matrix": MATRIX, "w": 32, "h": 24}],
            }
        ),
        INTRINSICS,
    )
    assert [camera.time for camera in found] == [0.5, None]
    assert [(c.intrinsics.width, c.intrinsics.height) for c in found] == [(64, 48), (32, 24)]
    assert found[0].intrinsics.fl_x == pytest.approx(32 / np.tan(0.5)) and found[1].intrinsics.fl_x == pytest.approx(
        16 / np.tan(0.5)
    )
    np.testing.assert_allclose(found[0].pose[:, 3], (1, 2, 3))
    assert read_path(file({"frames": [{"transform_matrix": MATRIX}]}), INTRINSICS)[0].intrinsics == INTRINSICS


def test_nerfstudio_paths_are_read(file):
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
    found = read_path(file(content), INTRINSICS)
    assert [round(c.intrinsics.fl_x, 3) for c in found] == [round(60 / np.tan(np.pi / 6), 3), 60.0]
    assert (
        all(
            (c.intrinsics.width, c.intrinsics.height, c.intrinsics.fl_x) == (160, 120, c.intrinsics.fl_y) for c in found
        )
        and found[1].time == 0.25
    )
    np.testing.assert_allclose(found[0].pose, np.array(MATRIX)[:3])


def test_path_through_keys_interpolates_poses_intrinsics_and_times(file):
    keys = [
        {"position": [3, 0, 1], "target": [0, 0, 0], "fov": 40, "time": 0.0},
        {"position": [0, 3, 1], "target": [0, 0, 0], "fov": 60, "time": 1.0},
        {"position": [-3, 0, 1], "target": [0, 0, 0], "fov": 40, "time": 0.5},
    ]
    found = read_path(file({"keys": keys, "count": 21}), INTRINSICS)
    assert len(found) == 21
    for index, key in zip((0, 10, 20), keys):
        np.testing.assert_allclose(found[index].pose, look_at(key["position"], key["target"]), atol=1e-9)
        assert (
            found[index].intrinsics.fl_y == pytest.approx(24 / np.tan(np.radians(key["fov"]) / 2))
            and found[index].time == key["time"]
        )
    assert found[5].time == 0.5 and found[0].intrinsics.fl_x > found[5].intrinsics.fl_x > found[10].intrinsics.fl_x
    assert len(read_path(file({"keys": keys}), INTRINSICS)) == 90
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
        INTRINSICS,
    )
    angles = 2 * np.pi * np.arange(60) / 60
    circle = np.stack([look_at((3 * np.cos(a), 3 * np.sin(a), 1.0), (0, 0, 0)) for a in angles])
    np.testing.assert_allclose(np.stack([c.pose for c in around]), circle, atol=0.03)
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
        ({"frames": [{"transform_matrix": [[1]]}]}, "frame 0: its camera is not a matrix"),
        ({"frames": [{"transform_matrix": MATRIX, "time": 7}]}, "frame 0: its time"),
        ({"camera_path": [{"camera_to_world": [1, 2]}]}, "frame 0: its camera_to_world"),
        (
            {"camera_path": [{"camera_to_world": list(np.eye(4).reshape(-1)), "camera_type": "equirectangular"}]},
            "type equirectangular",
        ),
    ],
)
def test_wrong_path_files_are_refused(file, content, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_path(file(content), INTRINSICS)
    assert "\n" not in str(caught.value)
