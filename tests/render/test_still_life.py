"""The scenes that are made of formulas: their surface, and the photographs of them."""

import numpy as np
import pytest

from fields.render.still_life import photographs
from scenes.errors import BadInput
from scenes.posed.rays import rays_of
from scenes.posed.read import open_posed
from scenes.posed.view import View
from scenes.procedural import still_life as formulas
from scenes.procedural.still_life import DUCK, cameras


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(formulas, "SIDE", 24)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path))


def test_the_distance_never_oversteps_and_the_box_holds_the_surface():
    random = np.random.default_rng(0)
    a, b = (random.uniform(DUCK.lower, DUCK.upper, (20000, 3)).astype(np.float32) for _ in range(2))
    apart = np.linalg.norm(a - b, axis=1)
    near = apart < 0.3
    # (ellipsoids overstate distances, which is what the tracer's share below 1 is for)
    assert (np.abs(DUCK.distance(a) - DUCK.distance(b))[near] <= 1.25 * apart[near] + 1e-4).mean() > 0.995
    lower, upper = np.array(DUCK.lower), np.array(DUCK.upper)
    walls = random.uniform(lower, upper, (6000, 3))
    axis, side = random.integers(0, 3, 6000), random.integers(0, 2, 6000)
    walls[np.arange(6000), axis] = np.where(side, upper[axis], lower[axis])
    assert (DUCK.distance(walls.astype(np.float32)) > 0).all()
    assert (DUCK.distance(a) < 0).any()


def test_views_by_name(small):
    scene = open_posed("procedural:duck")
    assert len(scene.of("train")) == 40 and len(scene.of("test")) == 8 and scene.box == (DUCK.lower, DUCK.upper)
    for view in scene.views:
        pixels = view.read()
        assert pixels.shape == (24, 24, 4) and pixels.dtype == np.uint8
        alpha = pixels[..., 3] / 255
        assert (
            0.15 < alpha.mean() < 0.7
            and not alpha[0].any()
            and not alpha[-1].any()
            and 0 < ((alpha > 0) & (alpha < 1)).mean() < 0.3
        )
    again = open_posed("procedural:duck")
    assert all(
        np.array_equal(a.pixels, b.pixels) and np.array_equal(a.pose, b.pose) for a, b in zip(scene.views, again.views)
    )
    with pytest.raises(BadInput, match="no such scene; there is duck"):
        open_posed("procedural:nothing")


def test_photographs_show_what_the_formula_says(small):
    """Along the rays of opaque pixels there is inside, along those of transparent ones there is none."""
    name, split, pose, intrinsics = cameras()[7]
    view = View(name, None, pose, intrinsics, split)
    alpha = photographs(DUCK, [view])[0][..., 3].reshape(-1)
    y, x = np.mgrid[0:24, 0:24].reshape(2, -1) + 0.5
    origins, directions = rays_of(view, x, y)
    along = np.linspace(2.0, 5.0, 600)
    points = (origins[:, None] + along[:, None] * directions[:, None]).reshape(-1, 3).astype(np.float32)
    within = np.all((points > DUCK.lower) & (points < DUCK.upper), axis=1)
    least = np.where(within, DUCK.distance(points), 1.0).reshape(-1, 600).min(axis=1)
    assert (least[alpha == 255] < 1e-3).all() and (least[alpha == 0] > 0).all()
    assert (alpha == 255).sum() > 50 and (alpha == 0).sum() > 200


def test_photographs_do_not_depend_on_their_company(small):
    views = [View(name, None, pose, intrinsics, split) for name, split, pose, intrinsics in cameras()[3:6]]
    assert np.array_equal(photographs(DUCK, views)[1], photographs(DUCK, views[1:2])[0])


def test_highlights_move_with_the_eye():
    point, normal = np.float32([[0.28, -0.1, 1.03]]), np.float32([[0.0, -0.4, 0.916]])
    colors = [
        DUCK.color(point, normal, direction / np.linalg.norm(direction), np.ones(1, np.float32))
        for direction in np.float32([[[0.45, 0.1, -1]], [[-0.6, 0.2, -0.5]]])
    ]
    assert np.abs(colors[0] - colors[1]).max() > 0.05
