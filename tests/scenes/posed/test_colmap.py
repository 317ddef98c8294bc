"""COLMAP models, against COLMAP's own library, and refusals of wrong files."""

import shutil

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.colmap import model_in, open_colmap
from scenes.posed.pose import look_at

POINTS = np.random.default_rng(0).normal(size=(40, 3))


def rotation_of(pose):
    """World to camera as a quaternion w x y z, and the translation, axes as COLMAP's."""
    from scipy.spatial.transform import Rotation

    turn = (pose[:, :3] * [1, -1, -1]).T
    x, y, z, w = Rotation.from_matrix(turn).as_quat()
    return (w, x, y, z), -turn @ pose[:, 3]


def poses(count=9):
    angles = 2 * np.pi * np.arange(count) / count
    return [look_at((5 * np.cos(a), 5 * np.sin(a), 1.0 + 0.2 * i), (0, 0, 0)) for i, a in enumerate(angles)]


def observers(point):
    """The images that see a point: the first two, three or four."""
    return range(2 + point % 3)


def features(image):
    """The line of features of an image, which is empty where it sees no point."""
    return (
        " ".join(f"1.5 2.5 {point if image in observers(point) else -1}" for point in range(len(POINTS)))
        if image < 4
        else ""
    )


CAMERAS = "# cameras\n1 OPENCV 24 16 20 21 12 8 0.05 -0.01 0.002 0.001\n2 SIMPLE_PINHOLE 24 16 22 11.5 8\n"


@pytest.fixture
def scene(tmp_path):
    """A model as text, with images."""

    def write(cameras=CAMERAS, place="sparse/0", size=(24, 16), image=lambda i, line: line, count=9):
        folder = tmp_path / "scene"
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / "images").mkdir(exist_ok=True)
        lines = ["# images"]
        for i, pose in enumerate(poses(count)):
            quaternion, place_of = rotation_of(pose)
            name = f"photo_{i}.png"
            Image.new("RGB", size, (i, 0, 0)).save(folder / "images" / name)
            lines += [
                image(i, f"{i + 1} {' '.join(map(repr, map(float, (*quaternion, *place_of))))} {1 + i % 2} {name}"),
                features(i),
            ]
        (folder / place / "cameras.txt").write_text(cameras)
        (folder / place / "images.txt").write_text("\n".join(lines) + "\n")
        (folder / place / "points3D.txt").write_text(
            "".join(
                f"{i} {x} {y} {z} 9 9 9 0.5 {' '.join(f'{k + 1} {i}' for k in observers(i))}\n"
                for i, (x, y, z) in enumerate(POINTS.tolist())
            )
        )
        return folder

    return write


def test_text_models_give_poses_intrinsics_and_points(scene):
    found = open_colmap(scene())
    assert [view.split for view in found.views] == ["test"] + ["train"] * 7 + ["test"]
    for view, pose in zip(found.views, poses()):
        np.testing.assert_allclose(view.pose, pose, atol=1e-9)
    first, second = found.views[0].intrinsics, found.views[1].intrinsics
    assert (first.model, first.distortion, first.fl_x, first.fl_y) == ("opencv", (0.05, -0.01, 0.002, 0.001), 20, 21)
    assert (second.model, second.fl_x, second.fl_y, second.cx) == ("pinhole", 22, 22, 11.5)
    np.testing.assert_allclose(found.points, POINTS[np.arange(40) % 3 > 0])


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "."])
def test_models_are_found_in_each_folder(scene, place):
    folder = scene(place=place)
    assert len(open_colmap(folder).views) == 9
    assert model_in(folder) == folder / place
    assert model_in(folder / "images") is None


def test_smaller_images_scale_the_intrinsics_and_masks_are_found(scene):
    folder = scene(size=(12, 8))
    (folder / "masks").mkdir()
    Image.new("L", (12, 8)).save(folder / "masks" / "photo_2.png.png")
    Image.new("L", (12, 8)).save(folder / "masks" / "photo_3.png")
    found = open_colmap(folder)
    intrinsics = found.views[0].intrinsics
    assert (
        intrinsics.width,
        intrinsics.height,
        intrinsics.fl_x,
        intrinsics.fl_y,
        intrinsics.cx,
        intrinsics.distortion[0],
    ) == (12, 8, 10, 10.5, 6, 0.05)
    assert [view.mask is not None for view in found.views] == [False, False, True, True] + [False] * 5


def test_binary_and_text_models_agree_with_the_library(scene, tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    folder = scene()
    theirs = pycolmap.Reconstruction()
    theirs.read_text(str(folder / "sparse" / "0"))
    binary = tmp_path / "binary"
    (binary / "sparse" / "0").mkdir(parents=True)
    shutil.copytree(folder / "images", binary / "images")
    theirs.write_binary(str(binary / "sparse" / "0"))
    ours, text = open_colmap(binary), open_colmap(folder)
    assert len(ours.points) == len(text.points)
    for view, same in zip(ours.views, text.views):
        np.testing.assert_allclose(view.pose, same.pose, atol=1e-9)
        assert view.intrinsics == same.intrinsics
    # A point of the world is where the library says that the camera sees it.
    for image in theirs.images.values():
        view = next(view for view in ours.views if view.name == f"images/{image.name}")
        for point in POINTS[:5]:
            x, y = image.project_point(point)
            origin, direction = view.rays_through(np.array([x]), np.array([y]))
            away = point - origin[0]
            np.testing.assert_allclose(direction[0], away / np.linalg.norm(away), atol=1e-6)


@pytest.mark.parametrize(
    "model, values, expected",
    [
        ("SIMPLE_RADIAL", "20 12 8 0.1", ("opencv", (0.1, 0, 0, 0))),
        ("RADIAL", "20 12 8 0.1 0.2", ("opencv", (0.1, 0.2, 0, 0))),
        ("PINHOLE", "20 21 12 8", ("pinhole", ())),
        ("OPENCV_FISHEYE", "20 21 12 8 0.1 0.2 0.3 0.4", ("fisheye", (0.1, 0.2, 0.3, 0.4))),
        ("SIMPLE_RADIAL_FISHEYE", "20 12 8 0.1", ("fisheye", (0.1, 0, 0, 0))),
        ("FULL_OPENCV", "20 21 12 8 0.1 0.2 0.3 0.4 0 0 0 0", ("opencv", (0.1, 0.2, 0.3, 0.4))),
        ("FULL_OPENCV", "20 21 12 8 1 2 3 4 5 6 7 8", ("opencv", (1, 2, 3, 4, 5, 6, 7, 8))),
        ("THIN_PRISM_FISHEYE", "20 21 12 8 1 2 3 4 5 6 7 8", ("fisheye", (1, 2, 5, 6, 3, 4, 7, 8))),
    ],
)
def test_camera_models_become_ours(scene, model, values, expected):
    intrinsics = open_colmap(scene(cameras=f"1 {model} 24 16 {values}\n2 {model} 24 16 {values}\n")).views[0].intrinsics
    assert (intrinsics.model, intrinsics.distortion) == expected


@pytest.mark.parametrize(
    "how, message",
    [
        ({"cameras": "1 FOV 24 16 20 21 12 8 0.5\n"}, "model FOV are not supported; undistort"),
        ({"cameras": "1 PINHOLE 24 16 20\n"}, "has 1 parameters, not 4"),
        ({"cameras": "1 PINHOLE 24\n"}, "is damaged"),
        ({"cameras": CAMERAS.replace("2 SIMPLE", "3 SIMPLE")}, "images/photo_1.png: its camera 2 is not among"),
        ({"cameras": CAMERAS.replace("20 21", "1e9 21")}, "images/photo_0.png.*not plausible"),
        ({"size": (16, 24)}, "another shape"),
        ({"count": 1}, "two views or more, not 1"),
        (
            {"image": lambda i, line: line.replace("photo_2", "photo_77")},
            "images/photo_77.png: the model has this image",
        ),
        ({"image": lambda i, line: line.replace("photo_2", "../sparse/0/photo_2")}, "outside of the folder"),
        (
            {"image": lambda i, line: "3 0 0 0 0 1 2 3 1 photo_2.png" if i == 2 else line},
            "photo_2.png: its rotation .* not a unit",
        ),
        (
            {"image": lambda i, line: "3 1 0 0 0 nan 2 3 1 photo_2.png" if i == 2 else line},
            "photo_2.png: its camera has values",
        ),
    ],
)
def test_wrong_models_are_refused(scene, how, message):
    with pytest.raises(BadInput, match=message) as caught:
        folder = scene(**how)
        Image.new("RGB", (24, 16)).save(folder / "sparse" / "0" / "photo_2.png")
        open_colmap(folder)
    assert "\n" not in str(caught.value)


def test_truncated_binary_files_are_refused(scene, tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    folder = scene()
    model = folder / "sparse" / "0"
    theirs = pycolmap.Reconstruction()
    theirs.read_text(str(model))
    theirs.write_binary(str(model))
    for name in ("cameras", "images", "points3D"):
        path = model / f"{name}.bin"
        whole = path.read_bytes()
        for length in (3, len(whole) // 2, len(whole) - 5):
            path.write_bytes(whole[:length])
            with pytest.raises(BadInput, match=f"{name}.bin: is damaged"):
                open_colmap(folder)
        path.write_bytes(whole)
    assert len(open_colmap(folder).views) == 9


def test_wrong_folders_are_refused(scene, tmp_path):
    with pytest.raises(BadInput, match="nor a folder sparse/0"):
        open_colmap(tmp_path)
    folder = scene()
    shutil.rmtree(folder / "images")
    with pytest.raises(BadInput, match="no folder images beside"):
        open_colmap(folder)
