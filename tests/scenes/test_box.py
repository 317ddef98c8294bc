"""Scene boxes: from silhouettes, cameras, points and what files say."""

import numpy as np
import pytest

from scenes.posed.box import SceneBox, border, focus, plain_background, scene_box, standing_within
from scenes.posed.path import looking_at
from scenes.posed.rays import pixels_of, rays_of
from scenes.posed.view import Intrinsics, PosedViews, View

SIDE = 60
LENS = Intrinsics(SIDE, SIDE, 70.0, 70.0, SIDE / 2, SIDE / 2)


def ring(count=24, radius=4.0, target=(0.3, -0.2, 0.1), **more):
    random = np.random.default_rng(0)
    views = []
    for i in range(count):
        a, e = 2 * np.pi * i / count, random.uniform(-0.4, 0.9)
        offset = radius * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        views.append(
            View(
                str(i), None, looking_at(np.array(target) + offset, target), LENS, "train" if i % 8 else "test", **more
            )
        )
    return tuple(views)


def ball(view, centre=(0.3, -0.2, 0.1), radius=0.6):
    y, x = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) + 0.5
    origins, directions = rays_of(view, x, y)
    away = np.array(centre) - origins
    along = (away * directions).sum(1)
    return ((away**2).sum(1) - along**2 < radius**2).reshape(SIDE, SIDE)


def test_the_focus_is_what_all_look_at():
    poses = np.stack([view.pose for view in ring()])
    np.testing.assert_allclose(focus(poses), (0.3, -0.2, 0.1), atol=0.02)


@pytest.mark.parametrize("centre, radius", [((0.3, -0.2, 0.1), 0.6), ((0.7, 0.0, -0.3), 0.4)])
def test_silhouettes_narrow_the_box(centre, radius):
    found = scene_box(PosedViews(ring()), silhouette=lambda view: ball(view, centre, radius))
    assert found.bounded and found.why == "what the silhouettes leave"
    assert (found.lower < np.array(centre) - radius).all() and (found.upper > np.array(centre) + radius).all()
    assert found.half < 1.45 * radius


def test_without_silhouettes():
    views = PosedViews(ring())
    open_ended = scene_box(views)
    assert not open_ended.bounded and open_ended.half == pytest.approx(2.0, rel=0.02)
    assert scene_box(views, silhouette=lambda view: None).half == open_ended.half
    told = scene_box(views, bounded=True)
    assert told.bounded and told.half == pytest.approx(1.6, rel=0.02)
    # What moves is not narrowed: its views show different moments.
    moving = scene_box(PosedViews(ring(time=0.5)), silhouette=ball)
    assert moving.bounded and moving.half == pytest.approx(1.6, rel=0.02)
    assert not scene_box(views, bounded=False, silhouette=ball).bounded


def test_empty_silhouettes_leave_the_guess():
    found = scene_box(PosedViews(ring()), silhouette=lambda view: np.zeros((SIDE, SIDE), bool))
    assert found.half == pytest.approx(1.6, rel=0.02)


def test_what_files_say():
    given = scene_box(PosedViews(ring(), box=((-1, -2, -1), (1, 1, 1))))
    np.testing.assert_allclose(given.centre, (0, -0.5, 0))
    assert given.bounded and given.half == pytest.approx(1.56)
    scaled = scene_box(PosedViews(ring(), aabb_scale=4))
    assert not scaled.bounded and scaled.levels == 3 and scaled.half == pytest.approx(1 / 0.66)


def test_points():
    points = np.random.default_rng(0).normal(size=(3000, 3)) * 0.5 + (0.3, -0.2, 0.1)
    points[:100] *= 300
    found = scene_box(PosedViews(ring(), points=points))
    np.testing.assert_allclose(found.centre, (0.3, -0.2, 0.1), atol=0.1)
    assert 0.4 < found.half < 1.0 and not found.bounded


def test_plain_backgrounds():
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (20, 30, 3)).astype(np.uint8) for _ in range(3)]
    assert plain_background([border(p) for p in pictures]) is None
    for p in pictures:
        p[[0, -1]] = p[:, [0, -1]] = (10, 20, 30)
    assert plain_background([border(p) for p in pictures]).tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "intrinsics",
    [
        LENS,
        Intrinsics(SIDE, 40, 70.0, 68.0, 29.0, 21.0, "opencv", (0.05, -0.02, 0.003, -0.002)),
        Intrinsics(SIDE, 40, 30.0, 31.0, 29.0, 21.0, "fisheye", (0.03, -0.01, 0.002, -0.001)),
    ],
)
def test_pixels_are_where_rays_go(intrinsics):
    view = View("v", None, looking_at((3.0, 1.0, 2.0), (0.2, 0.1, 0.0)), intrinsics, "train")
    random = np.random.default_rng(0)
    x, y = random.uniform(0, intrinsics.width, 300), random.uniform(0, intrinsics.height, 300)
    origins, directions = rays_of(view, x, y)
    along = random.uniform(0.5, 9.0, 300)
    found_x, found_y, depth = pixels_of(view, origins + along[:, None] * directions)
    np.testing.assert_allclose(np.stack([found_x, found_y]), np.stack([x, y]), atol=1e-6)
    np.testing.assert_allclose(depth, along * (directions @ -view.pose[:, 2]), atol=1e-9)
    assert (pixels_of(view, view.pose[:, 3] + view.pose[:, 2] * np.array([[1.0], [2.0]]))[2] < 0).all()


def test_cameras_inside_of_the_box():
    views = ring()
    inside = View("inside", None, looking_at((0.5, 0.1, 0.1), (2, 0, 0)), LENS, "train")
    scene = PosedViews((*views, inside))
    box = SceneBox(np.zeros(3), 1.0, True, "")
    assert standing_within(scene, box) == ["inside"]
    assert not standing_within(scene, SceneBox(np.zeros(3), 1.0, False, "")) and not standing_within(
        PosedViews(views), box
    )
