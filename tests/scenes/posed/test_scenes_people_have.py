"""Posed scenes as people have them: turned, scaled and renamed photographs, several models, masks and depths."""

import json
import shutil
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image
from ring_scene import FOCAL, SIZE, noise, ring, save, write_colmap, write_llff, write_transforms

import scenes
from scenes.errors import BadInput
from scenes.image.orientation import apply_orientation
from scenes.image.storage import Storage
from scenes.posed.camera import ARIA_COEFFICIENTS
from scenes.posed.frame import frame_of, intrinsics_in
from scenes.posed.read import ReadingOptions, open_posed
from scenes.posed.write import write_scene

ALL_ORIENTATIONS = (1, 2, 3, 4, 5, 6, 7, 8)
WRITERS = {
    "colmap": write_colmap,
    "llff": write_llff,
    "w and h": lambda folder, size, **more: write_transforms(
        folder, size=size, content={"fl_x": FOCAL, "w": size[0], "h": size[1]}, **more
    ),
    "axis": lambda folder, size, **more: write_transforms(
        folder, size=size, content={"fl_x": FOCAL, "cx": size[0] / 2, "cy": size[1] / 2}, **more
    ),
    "angle": lambda folder, size, **more: write_transforms(folder, size=size, content={"camera_angle_x": 0.6}, **more),
}


def said(scene, *words):
    """The one note that has all the words."""
    found = [note for note in scene.notes if all(word in note for word in words)]
    assert len(found) == 1, scene.notes
    return found[0]


@pytest.mark.parametrize("size", [SIZE, (10, 10)], ids=["oblong", "square"])
@pytest.mark.parametrize("kind", WRITERS)
def test_poses_belong_to_stored_pixels_whatever_their_exif_orientation(tmp_path, kind, size):
    scene = open_posed(WRITERS[kind](tmp_path, size=size, orientations=ALL_ORIENTATIONS))
    for index, view in enumerate(scene.views):
        assert (view.intrinsics.width, view.intrinsics.height, view.intrinsics.cx) == (*size, size[0] / 2)
        np.testing.assert_array_equal(view.read_image(), noise(index, size))
    said(scene, "7 of 8 photographs have an EXIF orientation", "as they are stored", "`orientation=upright`")


@pytest.mark.parametrize("kind", ["colmap", "llff", "w and h", "axis"])
def test_sizes_tell_that_poses_belong_to_upright_pixels(tmp_path, kind):
    """One photograph on its side decides for those that are only upside down."""
    orientations = (6, 3, 1, 8, 5, 7, 2, 4)
    # Of the photographs whose sides EXIF exchanges, the stored pixels are 8 x 12, and the lens is for 12 x 8.
    folder = WRITERS[kind](tmp_path, size=SIZE, orientations=orientations)
    for index, orientation in enumerate(orientations):
        size = SIZE[::-1] if orientation >= 5 else SIZE
        save(folder / "images" / f"{index:03}.png", noise(index, size), orientation)
    scene = open_posed(folder)
    for index, (view, orientation) in enumerate(zip(scene.views, orientations)):
        stored = noise(index, SIZE[::-1] if orientation >= 5 else SIZE)
        np.testing.assert_array_equal(view.read_image(), apply_orientation(stored, orientation, Storage()))
    said(scene, "7 of 8", "turned upright", "`orientation=stored`")


def test_the_orientation_may_be_asked_for(tmp_path):
    folder = write_transforms(tmp_path / "in", size=(10, 10), orientations=(3,) * 8)
    scene = open_posed(folder, options=ReadingOptions(orientation="upright"))
    np.testing.assert_array_equal(scene.views[0].read_image(), noise(0, (10, 10))[::-1, ::-1])
    # What is written has no tag any more, and is read as it was.
    write_scene(tmp_path / "out", scene)
    again = open_posed(tmp_path / "out")
    names = {view.name.split("/")[-1]: view for view in again.views}
    np.testing.assert_array_equal(names["000.png"].read_image(), noise(0, (10, 10))[::-1, ::-1])
    assert not again.notes


def test_of_several_models_the_largest_is_read(tmp_path):
    write_colmap(tmp_path, place="sparse/0", count=3)
    write_colmap(tmp_path, place="sparse/1", count=8)
    scene = open_posed(tmp_path)
    assert len(scene.views) == 8
    said(scene, "2 COLMAP models", "sparse/1 with 8", "sparse/0 with 3")
    assert len(open_posed(tmp_path / "sparse" / "0").views) == 3
    packed = tmp_path.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w") as archive:
        for file in tmp_path.rglob("*.*"):
            archive.write(file, "top\\" + str(file.relative_to(tmp_path)).replace("/", "\\"))
        archive.writestr("README.md", "about")
    assert scenes.recognise(packed) == ("radiance", "a zip with cameras.txt")
    assert len(open_posed(packed).views) == 8
    shutil.rmtree(tmp_path / "sparse" / "0")
    assert len(open_posed(tmp_path).views) == 8 and not open_posed(tmp_path).notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    assert len(open_posed(write_transforms(tmp_path / "a", encoding=encoding)).views) == 8
    if encoding == "utf-8-sig":
        assert len(open_posed(write_colmap(tmp_path / "b", encoding=encoding)).views) == 8


@pytest.mark.parametrize(
    ("named", "stored"),
    [
        ("images\\{}.png", "images/{}.png"),
        ("./images/{}.png", "Images/{}.PNG"),
        ("images/{}", "images/{}.PNG"),
        ("images/{}.jpg", "images/{}.png"),
        ("C:\\data\\my scene\\images\\{}.png", "images/{}.png"),
        ("/home/someone/scene/images/{}.png", "images/{}.png"),
        ("../elsewhere/images/{}.png", "images/{}.png"),
        (unicodedata.normalize("NFC", "images/é{}.png"), unicodedata.normalize("NFD", "images/é{}.png")),
    ],
)
def test_photographs_are_found_by_names_that_are_written_otherwise(tmp_path, named, stored):
    folder = write_transforms(tmp_path, frame=lambda i: {"file_path": named.format(f"{i:03}")})
    shutil.rmtree(folder / "images")
    for index in range(8):
        save(folder / stored.format(f"{index:03}"), noise(index))
    views = open_posed(folder).views
    assert [view.image.name for view in views] == [stored.format(f"{i:03}").split("/")[1] for i in range(8)]
    shutil.rmtree(folder)
    folder = write_colmap(tmp_path, name=lambda i: named.format(f"{i:03}").replace("images", "").lstrip("./\\"))
    if ":" not in named and "home" not in named and "else" not in named:
        shutil.rmtree(folder / "images")
        for index in range(8):
            save(folder / stored.format(f"{index:03}"), noise(index))
        assert len(open_posed(folder).views) == 8


def test_text_models_without_lines_of_features_are_read_whole(tmp_path):
    assert len(open_posed(write_colmap(tmp_path, features=False)).views) == 8


def test_text_models_have_names_with_spaces_and_points_in_a_ply(tmp_path):
    from scenes.shape.writers.ply import write_ply

    folder = write_colmap(tmp_path, name=lambda i: f"a walk ({i}).png")
    for index in range(8):
        save(folder / "images" / f"a walk ({index}).png", noise(index))
    points = np.random.default_rng(0).normal(size=(60, 3))
    write_ply(folder / "sparse/0/points3D.ply", {axis: points[:, k].astype("<f8") for k, axis in enumerate("xyz")})
    scene = open_posed(folder)
    assert scene.views[3].name == "images/a walk (3).png"
    np.testing.assert_allclose(scene.points, points)


LENS = {"fl_x": 40.0, "fl_y": 44.0, "cx": 12.5, "cy": 8.25}


@pytest.mark.parametrize(
    ("size", "content", "word"),
    [
        (SIZE, LENS | {"w": 24, "h": 16}, "written for 24 x 16"),
        (SIZE, LENS | {"w": 24}, "written for 24 x 16"),
        (SIZE, LENS | {"camera_angle_x": 2 * np.arctan(12 / 40.0)}, "written for 24 x 16"),
        (SIZE, LENS, "taken as written for 24 x 16"),
        ((48, 32), LENS | {"w": 24, "h": 16}, "written for 24 x 16"),
        ((48, 32), LENS, "taken as written for 24 x 16"),
    ],
)
def test_lenses_written_for_another_size_are_scaled_and_said(tmp_path, size, content, word):
    scene = open_posed(write_transforms(tmp_path, size=size, content=content))
    factor, own = size[0] / 24, scene.views[0].intrinsics
    assert (own.width, own.height) == size
    assert (own.fl_x, own.fl_y, own.cx, own.cy) == pytest.approx(tuple(factor * v for v in LENS.values()))
    said(scene, word)


def test_colmap_photographs_of_another_size_are_said(tmp_path):
    scene = open_posed(write_colmap(tmp_path, lens="PINHOLE 24 16 40 44 12.5 8.25"))
    assert scene.views[0].intrinsics.fl_y == 22
    said(scene, "8 of 8 photographs are 12 x 8", "written for 24 x 16", "scaled")


def test_an_optical_axis_near_the_border_is_warned_of(tmp_path):
    scene = open_posed(write_transforms(tmp_path, content={"fl_x": FOCAL, "cx": 11.5, "cy": 4}))
    said(scene, "optical axis of 8 of 8", "(11.5, 4)", "near the border")


@pytest.mark.parametrize("content", [{"camera_angle_y": 0.5}, {"fl_y": 4 / np.tan(0.25)}])
def test_one_axis_suffices_for_the_focal_length(tmp_path, content):
    own = open_posed(write_transforms(tmp_path, content=content)).views[0].intrinsics
    assert own.fl_x == own.fl_y == pytest.approx(4 / np.tan(0.25))


def test_the_lens_of_a_frame_has_precedence_over_that_of_the_file(tmp_path):
    content = {"fl_x": FOCAL, "fl_y": 21.0, "w": 12, "h": 8, "cx": 5.0}
    frames = {1: {"camera_angle_x": 0.8}, 2: {"w": 24, "h": 16, "fl_x": 50.0}, 3: {"cx": 7.0}}
    scene = open_posed(write_transforms(tmp_path, content=content, frame=lambda i: frames.get(i, {})))
    first, angle, own, axis = (view.intrinsics for view in scene.views[:4])
    assert (first.fl_x, first.fl_y, first.cx) == (FOCAL, 21, 5)
    assert angle.fl_x == angle.fl_y == pytest.approx(6 / np.tan(0.4)) and angle.cx == 5
    assert (own.fl_x, own.fl_y, own.cx) == (25, 25, 6)
    assert (axis.fl_x, axis.cx) == (FOCAL, 7)


def test_photographs_of_every_depth_and_mode_become_rgb(tmp_path):
    folder = write_transforms(tmp_path)
    grey, color = noise(0)[..., 0], noise(0)
    images = folder / "images"
    Image.fromarray(grey).save(images / "001.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(images / "002.png")
    Image.fromarray(color // 64 * 64).quantize(64).save(images / "003.png")
    Image.fromarray(color).convert("CMYK").save(images / "004.jpg", quality=100)
    (images / "004.png").unlink()
    scene = scenes.load(folder, "radiance")
    pixels = [view.read_image() for view in scene.views.views]
    assert all(image.shape == (8, 12, 3) and image.dtype == np.uint8 for image in pixels)
    for index in (1, 2):
        np.testing.assert_array_equal(pixels[index], np.repeat(grey[..., None], 3, axis=2))
    assert np.abs(pixels[3].astype(int) - color // 64 * 64).max() < 40
    said(scene, "images/002.png", "16 bits")
    said(scene, "images/004.png", "CMYK")


def test_color_profiles_of_photographs_are_converted_and_said_once(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    folder = write_transforms(tmp_path)
    profile = imagecodecs.cms_profile(
        "rgb",
        whitepoint=[0.3127, 0.3290, 1.0],
        gamma=2.2,
        primaries=[0.68, 0.32, 1.0, 0.265, 0.69, 1.0, 0.15, 0.06, 1.0],
    )
    for index in range(8):
        Image.fromarray(noise(index)).save(folder / "images" / f"{index:03}.png", icc_profile=profile)
    scene = scenes.load(folder, "radiance")
    assert sum("profile" in note for note in scene.notes) == 1
    said(scene, "8 views", "profile")
    assert not np.array_equal(scene.views.views[0].read_image(), noise(0))


@pytest.mark.parametrize("write", [write_transforms, write_colmap, write_llff])
@pytest.mark.parametrize("mask", ["masks/{}.png", "Masks/{}.png.PNG", "mask/{}.png"])
def test_folders_of_masks_are_used_and_depths_are_not(tmp_path, write, mask):
    folder = write(tmp_path)
    counts = np.zeros((16, 24), bool)
    counts[:, 4:] = True
    for index in range(1, 8):
        save(folder / mask.format(f"{index:03}"), (counts * 255).astype(np.uint8))
        save(folder / "depth" / f"{index:03}.png", noise(index))
    scene = scenes.load(folder, "radiance")
    masks = [scene.mask(view) for view in scene.views.views]
    assert masks[0] is None
    # The masks are twice as large as the photographs.
    assert all(found.shape == (8, 12) and found[:, 2:].all() and not found[:, :2].any() for found in masks[1:])
    said(scene, "7 masks")
    said(scene, "depths in depth are not used")


@pytest.mark.parametrize("write", [write_transforms, write_colmap, write_llff])
def test_dynamic_masks_beside_photographs_are_the_other_way_round(tmp_path, write):
    folder = write(tmp_path)
    photograph = next(view.image for view in open_posed(folder).views if view.name.endswith("002.png"))
    mask = np.zeros((8, 12, 3), np.uint8)
    mask[:, :5] = (0, 0, 1)
    save(photograph.with_name("dynamic_mask_002.png"), mask)
    scene = scenes.load(folder, "radiance")
    assert [view.mask is not None for view in scene.views.views] == [i == 2 for i in range(8)]
    found = scene.mask(scene.views.views[2])
    assert found[:, 5:].all() and not found[:, :5].any()
    said(scene, "1 masks dynamic_mask_", "what is not black there does not count")
    assert len(_photographs_of(photograph.parent)) == 8


def _photographs_of(folder):
    from scenes.posed.find_pictures import _photographs

    with _photographs(folder) as files:
        return files


@pytest.mark.parametrize("model", ["RAD_TAN_THIN_PRISM_FISHEYE", "FISHEYE624"])
def test_lenses_of_project_aria_have_all_their_coefficients(tmp_path, model):
    values = [0.05, -0.01, 2e-3, -4e-4, 1e-4, -2e-5, 4e-3, -3e-3, 6e-3, 2e-3, -5e-3, 1e-3]
    content = {"fl_x": FOCAL, "camera_model": model, "distortion_params": values}
    if model != "FISHEYE624":
        content = {"fl_x": FOCAL, "camera_model": model, **dict(zip(ARIA_COEFFICIENTS, values))}
    scene = open_posed(write_transforms(tmp_path, content=content))
    assert scene.views[0].intrinsics.model == "fisheye" and list(scene.views[0].intrinsics.distortion) == values
    again = intrinsics_in(frame_of(scene.views[0]), 12, 8, "again")
    assert again.distortion == scene.views[0].intrinsics.distortion


def test_listed_coefficients_of_nerfstudio_are_not_ignored(tmp_path):
    content = {"fl_x": FOCAL, "camera_model": "OPENCV", "distortion_params": [0.1, -0.02, 0, 0, 1e-3, -2e-3]}
    scene = open_posed(write_transforms(tmp_path, content=content))
    assert scene.views[0].intrinsics.distortion == (0.1, -0.02, 1e-3, -2e-3)
    with pytest.raises(BadInput, match="distortion_params are not 6 numbers"):
        open_posed(write_transforms(tmp_path / "b", content={**content, "distortion_params": [0.1]}))


def test_masks_of_several_folders_are_not_confused(tmp_path):
    folder = write_transforms(tmp_path, frame=lambda i: {"file_path": f"{'ab'[i % 2]}/{i // 2}.png"})
    for index in range(8):
        save(folder / "ab"[index % 2] / f"{index // 2}.png", noise(index))
    save(folder / "masks" / "1.png", np.full((8, 12), 200, np.uint8))
    save(folder / "masks" / "b" / "2.png", np.full((8, 12), 200, np.uint8))
    views = open_posed(folder).views
    assert [view.mask is not None for view in views] == [i == 5 for i in range(8)]


def test_depths_that_frames_name_are_said(tmp_path):
    said(open_posed(write_transforms(tmp_path, frame=lambda i: {"depth_file_path": "d.png"})), "depths are not used")


def test_poses_and_points_of_nerfstudio_are_in_one_frame_already(tmp_path):
    """`applied_transform` and `applied_scale` say how the file's coordinates came about; nothing is left to apply."""
    from scenes.shape.writers.ply import write_ply

    points = np.random.default_rng(0).normal(size=(60, 3))
    applied = [[0.0, 1.0, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]]
    content = {"fl_x": FOCAL, "applied_transform": applied, "applied_scale": 0.25, "ply_file_path": "sparse_pc.ply"}
    folder = write_transforms(tmp_path, content=content)
    write_ply(folder / "sparse_pc.ply", {axis: points[:, k].astype("<f8") for k, axis in enumerate("xyz")})
    scene = open_posed(folder)
    np.testing.assert_allclose(np.stack([view.pose for view in scene.views]), ring(), atol=1e-12)
    np.testing.assert_allclose(scene.points, points)
    assert not scene.notes


def test_views_that_are_all_for_testing_are_split(tmp_path):
    folder = write_transforms(tmp_path, file="transforms_test.json")
    for source in (folder, folder / "transforms_test.json"):
        scene = open_posed(source)
        assert (len(scene.training), len(scene.test)) == (7, 1)
        said(scene, "all views are for testing", "every 8th is held out")


def test_validation_takes_the_place_of_missing_tests(tmp_path):
    folder = write_transforms(tmp_path, file="Transforms_train.json")
    shutil.copy(folder / "Transforms_train.json", folder / "transforms_val.json")
    scene = open_posed(folder)
    assert (len(scene.training), len(scene.test)) == (8, 8)
    said(scene, "no transforms_test.json", "transforms_val.json")


def test_other_shapes_are_refused_in_one_line(tmp_path):
    folder = write_transforms(tmp_path, content={"fl_x": FOCAL, "w": 20, "h": 20})
    with pytest.raises(BadInput, match="image is 12 x 8, but its camera is given for 20 x 20") as caught:
        open_posed(folder)
    assert "\n" not in str(caught.value)


def test_the_command_line_says_what_was_decided(tmp_path, capsys):
    from apps.cli.main import main

    folder = write_transforms(tmp_path / "in", orientations=ALL_ORIENTATIONS, content=LENS | {"w": 24, "h": 16})
    assert main(["poses", str(folder), "--out", str(tmp_path / "out")]) == 0
    error = capsys.readouterr().err
    assert "change it with --orientation upright" in error and "written for 24 x 16" in error
    written = json.loads((tmp_path / "out" / "transforms_train.json").read_text())
    assert written["frames"][0]["fl_x"] == 20 and "camera_model" not in written["frames"][0]
    assert main(["info", str(folder)]) == 0
    assert "orientation" in capsys.readouterr().out
