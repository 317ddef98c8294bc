"""Poses in other conventions: transposed, scaled, left-handed, with other axes, world to camera."""

import numpy as np
import pytest
from PIL import Image
from ring_scene import ring, write_transforms

import scenes
from scenes.errors import BadInput
from scenes.posed.conventions import checked_poses, converge, converted, look_away
from scenes.posed.read import ReadingOptions, open_posed

NAMES = [f"view {i}" for i in range(8)]


def square(poses):
    return np.concatenate([poses, np.broadcast_to([[0, 0, 0, 1]], (len(poses), 1, 4))], axis=1)


def checked(matrices, convention=None):
    notes = []
    return checked_poses(list(matrices), NAMES, notes, convention), notes


def test_poses_as_they_should_be_are_left_alone():
    found, notes = checked(square(ring()))
    np.testing.assert_allclose(found.poses, ring(), atol=1e-12)
    assert not notes and converge(ring()) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m.transpose(0, 2, 1), "column by column"),
        (lambda m: m * [0.5, 0.5, 0.5, 1], "scale"),
        (lambda m: m * [1, 1, -1, 1], "z axes point forward"),
        (lambda m: np.linalg.inv(m), "world to camera"),
        (lambda m: np.linalg.inv(m * [1, -1, -1, 1]), "world to camera"),
    ],
    ids=["transposed", "scaled", "z forward", "w2c", "w2c-opencv"],
)
def test_what_is_certain_is_repaired_and_said(change, word):
    found, notes = checked(change(square(ring())))
    np.testing.assert_allclose(found.poses, ring(), atol=1e-9)
    assert word in notes[-1]


def test_left_handed_coordinates_are_turned_round_as_a_whole():
    found, notes = checked(square(ring()) * np.array([1, 1, -1, 1])[:, None])
    mirror = found.mirror * [1, 1, -1]
    np.testing.assert_allclose(found.poses, ring() * mirror[:, None] * 1.0, atol=1e-9)
    assert np.linalg.det(found.poses[:, :, :3]).min() > 0.99 and converge(found.poses) == 1
    assert "left-handed" in notes[0]


def test_cameras_that_look_away_are_said_and_not_changed():
    """They may stand in the middle of a room."""
    found, notes = checked(square(ring()) * [1, -1, -1, 1])
    assert look_away(found.poses) and "`pose_convention=opencv`" in notes[0]
    asked, notes = checked(square(ring()) * [1, -1, -1, 1], "opencv")
    np.testing.assert_allclose(asked.poses, ring(), atol=1e-12)
    assert not notes


@pytest.mark.parametrize("change", [lambda m: m, lambda m: np.linalg.inv(m)], ids=["c2w", "w2c"])
@pytest.mark.parametrize("axes", [1, -1], ids=["opengl", "opencv"])
def test_points_before_the_cameras_tell_the_convention(change, axes):
    """Also of cameras in a row, whose directions say nothing."""
    poses = np.stack([np.array([[1, 0, 0, i], [0, 1, 0, 0.5], [0, 0, 1, 5.0]]) for i in range(8)])
    points = np.random.default_rng(0).uniform((-1, -1, -1), (8, 1, 1), (200, 3))
    notes = []
    found = checked_poses(list(change(square(poses) * [1, axes, axes, 1])), NAMES, notes, points=points)
    np.testing.assert_allclose(found.poses, poses, atol=1e-9)
    assert any(f"`pose_convention={found.convention}`" in note for note in notes) == (found.convention != "opengl")
    asked = checked_poses(list(square(poses * [1, -1, -1, 1])), NAMES, [], "opengl", points=points)
    np.testing.assert_allclose(asked.poses, poses * [1, -1, -1, 1])


def test_cameras_in_a_room_have_points_on_all_sides():
    points = np.random.default_rng(0).normal(size=(400, 3))
    points *= 8 / np.linalg.norm(points, axis=1, keepdims=True)
    found = checked_poses(list(square(ring()) * [1, -1, -1, 1]), NAMES, [], points=points)
    np.testing.assert_allclose(found.poses, ring() * [1, -1, -1, 1], atol=1e-12)


@pytest.mark.parametrize("convention", ["opengl", "opencv", "w2c", "w2c-opencv"])
def test_conversion_is_its_own_way_back(convention):
    there = converted(ring(), convention)
    back = converted(there, convention)
    if convention == "w2c-opencv":
        back = np.linalg.inv(square(ring() * [1, -1, -1, 1]))[:, :3]
        np.testing.assert_allclose(converted(back, convention), ring(), atol=1e-12)
    else:
        np.testing.assert_allclose(back, ring(), atol=1e-12)


def test_cameras_in_a_row_say_nothing_about_the_convention():
    poses = np.stack([np.array([[1, 0, 0, i], [0, 1, 0, 0], [0, 0, 1, 5.0]]) for i in range(8)])
    assert checked(square(poses))[1] == [] and checked(square(poses * [1, -1, -1, 1]))[1] == []


def test_matrices_that_are_none_of_that_are_refused():
    with pytest.raises(BadInput, match="view 3.*last row of its camera's matrix is 1 2 3 4"):
        checked([m if i != 3 else np.vstack([m[:3], [1, 2, 3, 4]]) for i, m in enumerate(square(ring()))])
    with pytest.raises(BadInput, match="view 3.*mirrors"):
        checked([m if i != 3 else m * [-1, 1, 1, 1] for i, m in enumerate(square(ring()))])
    with pytest.raises(BadInput, match="view 0.*no rotation"):
        checked(square(ring()) * [1, 2, 1, 1])


def test_an_object_on_a_plain_ground_shows_that_axes_are_those_of_opencv(tmp_path):
    folder = write_transforms(tmp_path, poses=ring() * [1, -1, -1, 1])
    for index in range(8):
        pixels = np.zeros((8, 12, 4), np.uint8)
        pixels[2:6, 4:8] = 200
        Image.fromarray(pixels).save(folder / "images" / f"{index:03}.png")
    scene = scenes.load(folder, "radiance")
    np.testing.assert_allclose(np.stack([view.pose for view in scene.views.views]), ring(), atol=1e-12)
    assert any("OpenCV" in note and "so they are taken" in note for note in scene.notes)
    assert scene.source["options"]["pose_convention"] == "opencv"
    assert scenes.reopen("radiance", scene.source).source == scene.source
    kept = scenes.load(folder, "radiance", pose_convention="opengl")
    assert look_away(np.stack([view.pose for view in kept.views.views]))
    assert scenes.reopen("radiance", kept.source).source == kept.source


def test_points_and_box_follow_a_scene_that_is_turned_round(tmp_path):
    from scenes.shape.writers.ply import write_ply

    points = np.random.default_rng(0).uniform(0, 1, (60, 3))
    content = {"fl_x": 20.0, "ply_file_path": "points.ply", "box": [[0, 0, 0], [1, 2, 3]]}
    folder = write_transforms(tmp_path, poses=ring() * np.array([1, -1, 1])[:, None], content=content)
    write_ply(folder / "points.ply", {axis: points[:, k].astype("<f8") for k, axis in enumerate("xyz")})
    scene = open_posed(folder)
    np.testing.assert_allclose(scene.points, points * [-1, 1, 1])
    assert scene.box == ((-1.0, 0.0, 0.0), (0.0, 2.0, 3.0))


def test_the_convention_may_be_asked_for_an_npz(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (8, 8, 12, 3)).astype(np.uint8)
    np.savez(tmp_path / "scene.npz", images=images, poses=square(ring() * [1, -1, -1, 1]), focal=np.array(20.0))
    scene = open_posed(tmp_path / "scene.npz", options=ReadingOptions(convention="opencv"))
    np.testing.assert_allclose(np.stack([view.pose for view in scene.views]), ring(), atol=1e-12)
