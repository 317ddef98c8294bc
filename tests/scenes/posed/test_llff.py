"""LLFF folders, against the same scene's transforms file, and refusals of wrong rows."""

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.llff import open_llff
from scenes.posed.transforms import open_transforms


@pytest.fixture
def scene(tmp_path):
    (tmp_path / "images").mkdir()

    def write(count=9, change=lambda rows: rows, size=(12, 8)):
        for i in range(count):
            Image.new("RGB", size).save(tmp_path / "images" / f"{i:02}.png")
        # Down, right, backward of a camera that sees along -z; its position; height, width, focal.
        matrix = np.array([[0, 1, 0, 5, 16], [-1, 0, 0, 6, 24], [0, 0, 1, 7, 30]], dtype=np.float64)
        rows = np.tile(np.concatenate([matrix.reshape(-1), [1.0, 9.0]]), (count, 1))
        np.save(tmp_path / "poses_bounds.npy", change(rows))
        return tmp_path

    return write


def test_axes_are_converted_and_intrinsics_scaled(scene):
    found = open_llff(scene())
    np.testing.assert_allclose(found.views[0].pose, np.concatenate([np.eye(3), [[5], [6], [7]]], axis=1), atol=1e-12)
    intrinsics = found.views[0].intrinsics
    assert (intrinsics.width, intrinsics.height, intrinsics.fl_x, intrinsics.fl_y, intrinsics.cx, intrinsics.cy) == (
        12,
        8,
        15.0,
        15.0,
        6.0,
        4.0,
    )
    assert [i for i, view in enumerate(found.views) if view.split == "test"] == [0, 8]


def changed(index, value):
    def change(rows):
        rows[3, index] = value
        return rows

    return change


@pytest.mark.parametrize(
    "how, message",
    [
        ({"change": changed(0, np.nan)}, "images/03.png.*NaN"),
        ({"change": changed(1, 7.0)}, "images/03.png.*no rotation"),
        ({"change": changed(14, 1e9)}, "images/03.png.*not plausible"),
        ({"change": changed(4, 0.0)}, "images/03.png.*a size of"),
        ({"change": lambda rows: rows[:5]}, "5 rows for 9 images"),
        ({"change": lambda rows: rows[:, :12]}, "9 x 12 values"),
        ({"count": 1}, "two views or more"),
        ({"size": (8, 12)}, "camera is given for 24 x 16"),
    ],
)
def test_wrong_rows_are_refused(scene, how, message):
    with pytest.raises(BadInput, match=message):
        open_llff(scene(**how))


def test_wrong_folders_are_refused(scene, tmp_path):
    with pytest.raises(BadInput, match="cannot be opened"):
        open_llff(tmp_path)
    scene()
    (tmp_path / "poses_bounds.npy").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not an array of numbers"):
        open_llff(tmp_path)


def test_a_real_scene_agrees_with_its_transforms_file(shared):
    folder = shared / "nerf" / "bird_llff"
    ours, theirs = open_llff(folder), open_transforms(folder)
    assert len(ours.views) == 62
    for a, b in zip(ours.views, theirs.views):
        assert a.image == b.image
        np.testing.assert_allclose(a.pose, b.pose, atol=1e-3)
