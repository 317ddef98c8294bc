"""Scene boxes: from silhouettes, cameras, points and what files say."""

import numpy as np
import pytest

from scenes.posed.box import SceneBox, background_levels, border_pixels, cameras_inside, plain_background, scene_box
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import focus_point, look_at
from scenes.posed.view import PosedViews, View, split_of
from scenes.posed.visual_hull import hull_bounds, outside_hull

SIDE = 60
INTRINSICS = Intrinsics.pinhole(SIDE, SIDE, 70.0)


def ring_of_views(count=24, radius=4.0, target=(0.3, -0.2, 0.1), **more):
    random = np.random.default_rng(0)
    views = []
    for i in range(count):
        a, e = 2 * np.pi * i / count, random.uniform(-0.4, 0.9)
        offset = radius * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        pose = look_at(np.array(target) + offset, target)
        views.append(View(pose=pose, intrinsics=INTRINSICS, name=str(i), split=split_of(i), **more))
    return tuple(views)


def ball(view, centre=(0.3, -0.2, 0.1), radius=0.6):
    """The silhouette `[H, W]` bool of a ball."""
    origins, directions = view.rays()
    away = np.array(centre) - origins
    along = (away * directions).sum(1)
    return ((away**2).sum(1) - along**2 < radius**2).reshape(SIDE, SIDE)


def test_focus_point_is_what_all_cameras_look_at():
    poses = np.stack([view.pose for view in ring_of_views()])
    np.testing.assert_allclose(focus_point(poses), (0.3, -0.2, 0.1), atol=0.02)


@pytest.mark.parametrize("centre, radius", [((0.3, -0.2, 0.1), 0.6), ((0.7, 0.0, -0.3), 0.4)])
def test_silhouettes_narrow_the_box(centre, radius):
    found = scene_box(PosedViews(ring_of_views()), silhouette=lambda view: ball(view, centre, radius))
    assert found.bounded and found.reason == "what the silhouettes leave"
    assert (found.lower < np.array(centre) - radius).all() and (found.upper > np.array(centre) + radius).all()
    assert found.half < 1.45 * radius


def three_views():
    """Views from the front, the side and above; each sees much that is behind or beside the others."""
    target = np.array([0.3, -0.2, 0.1])
    places = target + 3.0 * np.array([[1.0, 0.1, 0.0], [0.1, -1.0, 0.1], [0.1, 0.0, 1.0]])
    return [View(look_at(place, target), INTRINSICS, name=str(i), split="train") for i, place in enumerate(places)]


def test_three_silhouettes_leave_nothing_outside_of_any_picture():
    """What only one or two of three views show, though all show the ball whole, is ruled out."""
    views = three_views()
    silhouettes = [(view, ball(view)) for view in views]
    bounds = hull_bounds(silhouettes, np.array([0.3, -0.2, 0.1]), 3.0, 1.0)
    assert bounds is not None and bounds[1] < 1.3 * 0.6
    lower = np.array([0.3, -0.2, 0.1]) - 1.8
    inside = ~outside_hull(silhouettes, lower, 3.6, 48)
    assert 1.0 < inside.sum() * 0.075**3 / (4 / 3 * np.pi * 0.6**3) < 3.2
    # A silhouette that the border cuts off rules out nothing outside of its picture.
    cut = [(view, ball(view) | (np.arange(SIDE) < 1)) for view in views]
    assert (~outside_hull(cut, lower, 3.6, 48)).sum() > 3 * inside.sum()


@pytest.mark.parametrize("cells", [48, 50])
def test_blocks_of_cells_rule_out_what_their_cells_do(cells, monkeypatch):
    silhouettes = [(view, ball(view)) for view in ring_of_views(9, radius=3.0)]
    lower, side = np.array([-0.9, -1.4, -1.1]), 2.4
    found = outside_hull(silhouettes, lower, side, cells)
    monkeypatch.setattr("scenes.posed.visual_hull.MIN_BLOCKED", 1000)
    one_by_one = outside_hull(silhouettes, lower, side, cells)
    # Cells near a camera, ruled out sooner, no longer widen the silhouettes for those that are farther away.
    assert not (one_by_one & ~found).any() and (found & ~one_by_one).mean() < 0.01
    centres = (np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1) + 0.5) * side / cells + lower
    # Every cell that the ball touches.
    near = np.linalg.norm(centres - [0.3, -0.2, 0.1], axis=-1) < 0.6 + 0.5 * side / cells
    assert near.sum() > 5000 and not found[near].any() and found.mean() > 0.8


def test_one_picture_of_a_part_does_not_rule_out_the_other():
    views = [view for view in ring_of_views(12, radius=6.0) if view.split == "train"]
    other = (0.3, -0.2, 1.5)
    silhouettes = [(view, ball(view, radius=0.3) | ball(view, other, 0.3)) for view in views]
    near = View(look_at(np.array([2.3, -0.2, 0.1]), (0.3, -0.2, 0.1)), INTRINSICS, name="near", split="train")
    silhouettes.append((near, ball(near, radius=0.3)))
    inside = ~outside_hull(silhouettes, np.array([-0.7, -1.2, -0.7]), 3.0, 30)
    cell = tuple(((np.array(other) - [-0.7, -1.2, -0.7]) / 0.1).astype(int))
    assert inside[cell]


def test_box_without_silhouettes_is_guessed_from_cameras():
    views = PosedViews(ring_of_views())
    open_ended = scene_box(views)
    assert not open_ended.bounded and open_ended.half == pytest.approx(2.0, rel=0.02)
    assert scene_box(views, silhouette=lambda view: None).half == open_ended.half
    bounded = scene_box(views, bounded=True)
    assert bounded.bounded and bounded.half == pytest.approx(1.6, rel=0.02)
    # A moving scene is not narrowed, as its views show different moments.
    moving = scene_box(PosedViews(ring_of_views(time=0.5)), silhouette=ball)
    assert moving.bounded and moving.half == pytest.approx(1.6, rel=0.02)
    assert not scene_box(views, bounded=False, silhouette=ball).bounded


def test_empty_silhouettes_leave_the_guessed_box():
    found = scene_box(PosedViews(ring_of_views()), silhouette=lambda view: np.zeros((SIDE, SIDE), bool))
    assert found.half == pytest.approx(1.6, rel=0.02)


def test_box_and_scale_from_files_are_used():
    given = scene_box(PosedViews(ring_of_views(), box=((-1, -2, -1), (1, 1, 1))))
    np.testing.assert_allclose(given.centre, (0, -0.5, 0))
    assert given.bounded and given.half == pytest.approx(1.56)
    scaled = scene_box(PosedViews(ring_of_views(), aabb_scale=4))
    assert not scaled.bounded and scaled.cascades == 3 and scaled.half == pytest.approx(1 / 0.66)


def test_box_is_around_most_points():
    points = np.random.default_rng(0).normal(size=(3000, 3)) * 0.5 + (0.3, -0.2, 0.1)
    points[:100] *= 300
    found = scene_box(PosedViews(ring_of_views(), points=points))
    np.testing.assert_allclose(found.centre, (0.3, -0.2, 0.1), atol=0.1)
    assert 0.4 < found.half < 1.0 and not found.bounded


def test_plain_background_is_the_colour_of_all_borders():
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (20, 30, 3)).astype(np.uint8) for _ in range(3)]
    assert plain_background([border_pixels(image) for image in images]) is None
    for image in images:
        image[[0, -1]] = image[:, [0, -1]] = (10, 20, 30)
    assert plain_background([border_pixels(image) for image in images]).tolist() == [10, 20, 30]


def test_what_differs_from_a_plain_background_is_more_than_its_noise():
    color = np.array([0, 0, 0], np.uint8)
    random = np.random.default_rng(0)
    assert background_levels([np.zeros((400, 3), np.uint8)], color) == 2
    noisy = random.integers(0, 3, (400, 3)).astype(np.uint8)
    assert background_levels([np.zeros((400, 3), np.uint8), noisy], color) == 4
    assert background_levels([random.integers(0, 60, (400, 3)).astype(np.uint8)], color) == 6


def test_cameras_inside_of_a_bounded_box_are_named():
    inside = Camera(look_at((0.5, 0.1, 0.1), (2, 0, 0)), INTRINSICS, name="inside")
    cameras = [*ring_of_views(), inside]
    box = SceneBox(np.zeros(3), 1.0, True, "")
    assert cameras_inside(cameras, box) == ["inside"]
    assert not cameras_inside(cameras, SceneBox(np.zeros(3), 1.0, False, "")) and not cameras_inside(cameras[:-1], box)
