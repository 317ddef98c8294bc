"""Reasons and warnings about found cameras say what is the matter."""

import numpy as np
import pytest

from scenes.posed.camera import Intrinsics
from scenes.posed.find_pictures import Picture
from scenes.posed.find_reasons import (
    has_no_depth,
    reason_for_nothing,
    reason_left_out,
    spanned_angle,
    warnings_about,
)
from scenes.posed.pose import look_at
from scenes.posed.view import PosedViews, View

PICTURES = [Picture(f"IMG {i}.jpg", f"IMG_{i}.jpg", "one") for i in range(6)]
ORIGIN = np.zeros((9, 3))
FILES = [picture.file for picture in PICTURES]
NAMES = {picture.file: picture.name for picture in PICTURES}


def result(**changes):
    many, common = dict.fromkeys(FILES, 900), dict.fromkeys(FILES, 100)
    return {"features": many, "partners": common, "groups": [], "geometries": {"CALIBRATED": 9}} | changes


def arc(count, degrees, target=(0, 0, 0)):
    angles = np.radians(np.linspace(0, degrees, count))
    return np.stack([look_at((4 * np.cos(a), 4 * np.sin(a), 1.0), target) for a in angles])


def scene(poses, points=None):
    intrinsics = Intrinsics.pinhole(12, 8, 10.0)
    views = tuple(View(pose=pose, intrinsics=intrinsics, name="v", split="train") for pose in poses)
    return PosedViews(views, points=points)


def test_each_picture_without_a_camera_has_a_reason():
    few = result(features=dict.fromkeys(FILES, 900) | {FILES[1]: 7})
    assert reason_left_out(PICTURES[1], few, NAMES).startswith("only 7 features")
    group = result(groups=[[FILES[2], FILES[3], FILES[4]]])
    assert reason_left_out(PICTURES[3], group, NAMES) == (
        "overlaps with IMG 2.jpg and 2 in all, but that group not with the rest"
    )
    alone = result(partners=dict.fromkeys(FILES, 100) | {FILES[5]: 3})
    assert "nothing in common" in reason_left_out(PICTURES[5], alone, NAMES)
    assert "100 points are seen in another picture" in reason_left_out(PICTURES[0], result(), NAMES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": dict.fromkeys(FILES, 12)}, "too little texture (12 features each)"),
        ({"geometries": {}}, "no two pictures show the same thing"),
        ({"geometries": {"PLANAR_OR_PANORAMIC": 7, "CALIBRATED": 5}}, "something flat, or were taken from one place"),
        ({"partners": dict.fromkeys(FILES, 3) | {FILES[0]: 30}}, "1 of 6 pictures have something in common"),
    ],
)
def test_no_camera_at_all_has_a_reason_too(changes, words):
    text = reason_for_nothing(PICTURES, result(**changes))
    assert words in text and "\n" not in text


def test_cameras_all_around_have_no_warnings():
    points = np.random.default_rng(0).normal(0, 0.3, (100, 3))
    assert warnings_about(scene(arc(20, 340), points), 20, 0.5, False) == []


def test_what_is_doubtful_is_said():
    points = np.random.default_rng(0).normal(0, 0.3, (100, 3))
    poses = arc(6, 40)
    poses[5] = look_at(poses[5][:, 3], 3 * poses[5][:, 3])
    text = " | ".join(warnings_about(scene(poses, points), 12, 2.5, True))
    assert "the background stands still" in text
    assert "6 of 12 pictures only" in text and "6 pictures are few" in text and "2.5 pixels" in text
    assert "from one side, over 3" in text and "1 of 6 cameras have hardly any" in text


def test_the_spanned_angle_is_that_of_the_outermost_cameras():
    assert spanned_angle(arc(9, 90), ORIGIN) == pytest.approx(np.degrees(np.arccos(1 / 17)))
    assert spanned_angle(arc(9, 90)) == pytest.approx(86.6, abs=1.0)
    assert spanned_angle(arc(9, 90), np.array([[0.0, 0.0, 1.0]] * 3)) == pytest.approx(90.0)


def test_cameras_in_one_place_mean_nothing_only_where_pairs_show_no_depth_either():
    flat = result(geometries={"PANORAMIC": 8, "CALIBRATED": 2})
    assert has_no_depth(arc(5, 3), ORIGIN, flat)
    assert not has_no_depth(arc(5, 60), ORIGIN, flat)
    assert not has_no_depth(arc(5, 3), ORIGIN, result())
