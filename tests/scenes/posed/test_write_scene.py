"""Posed scenes written as folders, and read again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.read import is_posed, open_posed
from scenes.posed.view import PosedViews, View
from scenes.posed.write import write_scene

PINHOLE = Intrinsics(12, 8, fl_x=10.0, fl_y=11.0, cx=6.5, cy=4.0)
ALL_INTRINSICS = [
    PINHOLE,
    replace(PINHOLE, model="opencv", distortion=(0.1, -0.02, 0.003, 0.0)),
    Intrinsics(12, 8, fl_x=6.0, fl_y=6.0, cx=6.0, cy=4.0, model="fisheye", distortion=(0.1, 0.01, 0.0, 0.002)),
]


@pytest.fixture
def views(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "from").mkdir()
    found = []
    for i in range(10):
        pose = look_at((3 * np.cos(i), 3 * np.sin(i), 1.0), (0, 0, 0))
        pixels = random.integers(1, 255, (8, 12, 4)).astype(np.uint8)
        file = tmp_path / "from" / f"{i % 3}.png" if i < 3 else None
        if file:
            Image.fromarray(pixels).save(file)
        found.append(
            View(
                pose=pose,
                intrinsics=ALL_INTRINSICS[i % 3],
                time=i / 9,
                name=f"train/{i % 4}",
                split="train" if i % 5 else "test",
                image=file,
                mask=file,
                pixels=None if file else pixels,
                depths=(1.0, 5.0) if i else None,
            )
        )
    return tuple(found)


def test_a_written_scene_is_read_as_it_was(views, tmp_path):
    scene = PosedViews(
        views, 2.0, box=((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0)), points=np.random.default_rng(1).normal(size=(30, 3))
    )
    write_scene(tmp_path / "to", scene)
    again = open_posed(tmp_path / "to")
    assert is_posed(tmp_path / "to") and len(again.views) == 10
    assert (again.aabb_scale, again.box) == (2.0, scene.box)
    np.testing.assert_allclose(again.points, scene.points)
    for written, read in ((scene.training, again.training), (scene.test, again.test)):
        assert len(read) == len(written)
        for view, same in zip(written, read):
            np.testing.assert_allclose(same.pose, view.pose, atol=1e-12)
            assert (same.intrinsics, same.time, same.depths, same.mask is None) == (
                view.intrinsics,
                view.time,
                view.depths,
                view.mask is None,
            )
            assert np.array_equal(same.read_image(), view.read_image())


def test_folders_with_content_are_refused(views, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        write_scene(tmp_path / "to", PosedViews(views))
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["mine.txt"]


def test_wrong_points_and_boxes_are_refused(views, tmp_path):
    scene = PosedViews(views, points=np.zeros((3, 3)), box=((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0)))
    write_scene(tmp_path / "to", scene)
    path = tmp_path / "to" / "transforms_train.json"
    content = json.loads(path.read_text())
    for change, message in [
        ({"box": [[0, 0, 0], [1, 1]]}, "box is not a lower and an upper"),
        ({"box": [[0, 0, 0], [1, -1, 1]]}, "box is not"),
        ({"box": 7}, "box is not"),
        ({"ply_file_path": "../from/0.png"}, "outside of the scene's folder"),
        ({"ply_file_path": "train/1.png"}, "is not a point cloud"),
    ]:
        path.write_text(json.dumps(content | change))
        with pytest.raises(BadInput, match=message):
            open_posed(tmp_path / "to")
    path.write_text(json.dumps(content))
    (tmp_path / "to" / "points.ply").unlink()
    assert open_posed(tmp_path / "to").points is None
