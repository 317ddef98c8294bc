"""The analytic scenes: their surface, and the photographs of them."""

import numpy as np
import pytest

from scenes.errors import BadInput
from scenes.posed.read import open_posed
from scenes.procedural import still_life
from scenes.procedural.photographs import photographs
from scenes.procedural.still_life import DUCK, cameras


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(still_life, "SIDE", 24)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path))


def test_the_distance_never_oversteps_and_the_box_holds_the_surface():
    random = np.random.default_rng(0)
    a, b = (random.uniform(DUCK.lower, DUCK.upper, (20000, 3)).astype(np.float32) for _ in range(2))
    apart = np.linalg.norm(a - b, axis=1)
    near = apart < 0.3
    # Ellipsoids overstate distances, which is why the tracer goes less than the distance.
    assert (np.abs(DUCK.distance(a) - DUCK.distance(b))[near] <= 1.25 * apart[near] + 1e-4).mean() > 0.995
    lower, upper = np.array(DUCK.lower), np.array(DUCK.upper)
    walls = random.uniform(lower, upper, (6000, 3))
    axis, side = random.integers(0, 3, 6000), random.integers(0, 2, 6000)
    walls[np.arange(6000), axis] = np.where(side, upper[axis], lower[axis])
    assert (DUCK.distance(walls.astype(np.float32)) > 0).all()
    assert (DUCK.distance(a) < 0).any()


def test_views_have_alpha_and_are_always_the_same(small):
    scene = open_posed("procedural:duck")
    assert len(scene.training) == 40 and len(scene.test) == 8 and scene.box == (DUCK.lower, DUCK.upper)
    for view in scene.views:
        pixels = view.read_image()
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


def test_photographs_are_opaque_where_rays_meet_the_surface(small):
    """Rays of opaque pixels go through the inside of the scene, those of transparent ones do not."""
    camera = cameras()[7]
    alpha = photographs(DUCK, [camera])[0][..., 3].reshape(-1)
    origins, directions = camera.rays()
    along = np.linspace(2.0, 5.0, 600)
    points = (origins[:, None] + along[:, None] * directions[:, None]).reshape(-1, 3).astype(np.float32)
    within = np.all((points > DUCK.lower) & (points < DUCK.upper), axis=1)
    least = np.where(within, DUCK.distance(points), 1.0).reshape(-1, 600).min(axis=1)
    assert (least[alpha == 255] < 1e-3).all() and (least[alpha == 0] > 0).all()
    assert (alpha == 255).sum() > 50 and (alpha == 0).sum() > 200


def test_a_photograph_does_not_depend_on_those_traced_with_it(small):
    some = cameras()[3:6]
    assert np.array_equal(photographs(DUCK, some)[1], photographs(DUCK, some[1:2])[0])


def test_highlights_move_with_the_eye():
    point, normal = np.float32([[0.28, -0.1, 1.03]]), np.float32([[0.0, -0.4, 0.916]])
    colors = [
        DUCK.color(point, normal, direction / np.linalg.norm(direction), np.ones(1, np.float32))
        for direction in np.float32([[[0.45, 0.1, -1]], [[-0.6, 0.2, -0.5]]])
    ]
    assert np.abs(colors[0] - colors[1]).max() > 0.05
