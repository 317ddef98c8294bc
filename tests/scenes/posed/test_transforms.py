"""transforms.json: its dialects, and refusals of wrong files."""

import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.transforms import open_transforms


def pose(angle=0.3):
    c, s = math.cos(angle), math.sin(angle)
    return [[c, 0, s, 5 * s], [0, 1, 0, 2.0], [-s, 0, c, 5 * c], [0, 0, 0, 1]]


@pytest.fixture
def scene(tmp_path):
    """Writes a scene of small images: `scene(file, **content)`, by default with ten frames."""

    def write(file="transforms.json", count=10, frame=lambda i: {}, folder="images", **content):
        (tmp_path / folder).mkdir(exist_ok=True)
        frames = []
        for i in range(count):
            Image.new("RGB", (12, 8), (i, 0, 0)).save(tmp_path / folder / f"{i}.png")
            frames.append({"file_path": f"{folder}/{i}.png", "transform_matrix": pose(i)} | frame(i))
        (tmp_path / file).write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames} | content))
        return tmp_path

    return write


def test_one_field_of_view_for_all_frames(scene):
    found = open_transforms(scene())
    assert [view.split for view in found.views] == ["test"] + ["train"] * 7 + ["test", "train"]
    intrinsics = found.views[3].intrinsics
    assert (
        intrinsics.width,
        intrinsics.height,
        intrinsics.cx,
        intrinsics.cy,
        intrinsics.model,
        intrinsics.distortion,
    ) == (12, 8, 6.0, 4.0, "pinhole", ())
    assert intrinsics.fl_x == intrinsics.fl_y == pytest.approx(6 / math.tan(0.4))
    np.testing.assert_allclose(found.views[3].pose, np.array(pose(3))[:3], atol=1e-12)
    assert len(found.training) == 8 and not found.notes and found.aabb_scale is None


def test_one_file_for_each_split_and_names_without_ending(scene):
    scene("transforms_train.json", 3, lambda i: {"file_path": f"./train/{i}", "time": i / 2}, "train")
    folder = scene("transforms_test.json", 2, lambda i: {"file_path": f"./test/{i}"}, "test")
    found = open_transforms(folder)
    assert [view.split for view in found.views] == ["train"] * 3 + ["test"] * 2
    assert [view.time for view in found.views] == [0.0, 0.5, 1.0, None, None]
    assert found.views[4].image == folder / "test" / "1.png"
    (folder / "transforms_test.json").unlink()
    found = open_transforms(folder / "transforms_train.json")
    assert len(found.test) == 1 and "held out" in found.notes[0]


def test_intrinsics_for_all_frames_and_for_each(scene):
    found = open_transforms(
        scene(
            fl_x=10.0,
            fl_y=11.0,
            cx=5.5,
            cy=4.5,
            k1=0.1,
            p2=0.2,
            w=12,
            h=8,
            aabb_scale=4,
            frame=lambda i: {"fl_x": 20.0, "k1": 0.0, "p2": 0.0} if i == 1 else {},
        )
    )
    assert found.aabb_scale == 4
    first, second = (view.intrinsics for view in found.views[:2])
    assert (first.fl_x, first.fl_y, first.cx, first.cy, first.model, first.distortion) == (
        10,
        11,
        5.5,
        4.5,
        "opencv",
        (0.1, 0, 0, 0.2),
    )
    assert (second.fl_x, second.model) == (20.0, "pinhole")
    fisheye = open_transforms(scene(camera_model="OPENCV_FISHEYE", fl_x=10.0, k3=0.3)).views[0].intrinsics
    assert (fisheye.model, fisheye.distortion, fisheye.fl_y) == ("fisheye", (0, 0, 0.3, 0), 10.0)


def test_camera_angle_y_gives_its_own_focal_length(scene):
    intrinsics = open_transforms(scene(camera_angle_y=0.5)).views[0].intrinsics
    assert intrinsics.fl_x == pytest.approx(6 / math.tan(0.4)) and intrinsics.fl_y == pytest.approx(4 / math.tan(0.25))


def test_lists_of_file_names_give_the_splits(scene):
    some = [f"images/{i}.png" for i in range(10)]
    found = open_transforms(scene(train_filenames=some[:6], val_filenames=some[6:8], test_filenames=some[8:9]))
    assert [view.split for view in found.views] == ["train"] * 6 + [
        "test"
    ] and "3 frames are in neither" in found.notes[0]
    found = open_transforms(scene(train_filenames=some[:8], val_filenames=some[8:]))
    assert [view.split for view in found.views] == ["train"] * 8 + ["test"] * 2 and not found.notes
    with pytest.raises(BadInput, match="test_filenames is not a list"):
        open_transforms(scene(test_filenames=7))


def test_another_fraction_is_held_out(scene):
    views = open_transforms(scene())
    assert [i for i, view in enumerate(views.hold_out(0.25).views) if view.split == "test"] == [0, 4, 8]
    for fraction in (0.0, 0.8, -1.0):
        with pytest.raises(ValueError, match="at most 0.5"):
            views.hold_out(fraction)


def test_rotations_are_made_orthonormal_with_a_note(scene):
    crooked = (np.array(pose()) * np.array([[1.01], [1], [1], [1]])).tolist()
    found = open_transforms(scene(frame=lambda i: {"transform_matrix": crooked} if i == 2 else {}))
    rotation = found.views[2].pose[:, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert len(found.notes) == 1 and "images/2.png" in found.notes[0]


def without(matrix, row, column, value):
    matrix = [list(r) for r in matrix]
    matrix[row][column] = value
    return matrix


@pytest.mark.parametrize(
    "change, message",
    [
        ({"transform_matrix": without(pose(), 0, 3, math.nan)}, "images/2.png.*NaN"),
        ({"transform_matrix": without(pose(), 0, 0, 9.0)}, "images/2.png.*no rotation"),
        ({"transform_matrix": (np.array(pose()) * [-1, 1, 1, 1]).tolist()}, "images/2.png.*mirrors"),
        ({"transform_matrix": [[1, 2], [3]]}, "images/2.png.*not a matrix"),
        ({"transform_matrix": None}, "images/2.png.*not a matrix"),
        ({"file_path": "images/nowhere.png"}, "nowhere.png: no such image"),
        ({"file_path": 7}, "no file_path"),
        ({"w": 100, "h": 8}, "12 x 8.*given for 100 x 8, which is another shape"),
        ({"w": 0}, "its w is 0"),
        ({"fl_x": 1e9}, "not plausible"),
        ({"fl_x": -5.0}, "not plausible"),
        ({"fl_x": "wide"}, "not a number but 'wide'"),
        ({"cx": 1e6}, "optical axis"),
        ({"k1": math.inf}, "infinite"),
        ({"time": 3.0}, "between 0 and 1"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model EQUIRECTANGULAR is not supported"),
        ({"k3": 0.1, "k5": 0.2}, "distortion with k5 is not supported for the camera_model OPENCV"),
        ({"k1": 0.1, "p1": 0.2, "camera_model": "OPENCV_FISHEYE"}, "distortion with p1 is not supported"),
        ({"transform_matrix": [*pose()[:3], [0, 0, 0, 2]]}, "images/2.png.*last row .* is 0 0 0 2"),
    ],
)
def test_wrong_frames_are_refused(scene, change, message):
    with pytest.raises(BadInput, match=message) as caught:
        open_transforms(scene(frame=lambda i: change if i == 2 else {}))
    assert "\n" not in str(caught.value)


def test_wrong_files_are_refused(scene, tmp_path):
    with pytest.raises(BadInput, match="no transforms.json"):
        open_transforms(tmp_path)
    with pytest.raises(BadInput, match="cannot be opened"):
        open_transforms(tmp_path / "transforms_x.json")
    with pytest.raises(BadInput, match="two views or more, not 1"):
        open_transforms(scene(count=1))
    with pytest.raises(BadInput, match="between 0 and pi"):
        open_transforms(scene(camera_angle_x=4.0))
    with pytest.raises(BadInput, match="neither fl_x nor"):
        open_transforms(scene(camera_angle_x=None))
    with pytest.raises(BadInput, match="aabb_scale"):
        open_transforms(scene(aabb_scale=-1))
    folder = tmp_path
    (folder / "transforms.json").write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        open_transforms(folder)
    (folder / "transforms.json").write_text("[]")
    with pytest.raises(BadInput, match="no list of frames"):
        open_transforms(folder)


def test_images_outside_of_the_folder_are_refused(scene, tmp_path):
    folder = scene()
    inner = tmp_path / "inner"
    inner.mkdir()
    content = json.loads((folder / "transforms.json").read_text())
    for frame in content["frames"]:
        frame["file_path"] = "../" + frame["file_path"]
    (inner / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="outside of the scene's folder"):
        open_transforms(inner)


def test_damaged_images_are_refused(scene):
    folder = scene()
    (folder / "images" / "3.png").write_bytes(b"not an image")
    with pytest.raises(BadInput, match="images/3.png: is not an image"):
        open_transforms(folder)
    shutil.rmtree(folder / "images")


def test_real_scenes_of_each_dialect(shared):
    lego = open_transforms(shared / "nerf" / "lego_200")
    assert len(lego.training) == 100 and len(lego.test) == 20 and lego.views[0].intrinsics.width == 200
    fox = open_transforms(shared / "nerf" / "fox")
    assert (
        len(fox.views) == 45
        and fox.aabb_scale == 4
        and fox.views[0].intrinsics.model == "opencv"
        and len(fox.test) == 6
    )
    bird = open_transforms(shared / "nerf" / "bird_llff")
    assert len(bird.views) == 62 and len({view.intrinsics.fl_x for view in bird.views}) > 1
