"""The first shape of a fit with a surface: distances to a hull, a sphere, and the regression to either."""

import numpy as np
import pytest
import torch

from fields.fit.objectives.surface_start import HULL_CELLS, SPHERE_RADIUS, distances_of, first_shape
from fields.methods.neus import Neus
from scenes.posed.signal import open_radiance
from tests.fit.posed_scene import RADIUS, write_scene

SMALL = {"levels": 6, "table_size": 1 << 14, "first_levels": 6}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_radiance(write_scene(tmp_path_factory.mktemp("ball") / "scene", side=48))


def centres(cells: int) -> torch.Tensor:
    axis = (torch.arange(cells) + 0.5) / cells - 0.5
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def test_distances_of_cells_are_those_to_their_border():
    solid = np.zeros((48, 48, 48), bool)
    solid[16:32, 16:32, 16:32] = True
    found = distances_of(solid) * 48
    assert abs(found[24, 24, 10] - 5.5) < 0.1 and abs(found[24, 24, 24] + 7.5) < 1.2
    assert found[24, 24, 15] > 0 > found[24, 24, 16]


def test_a_hull_that_fills_the_cube_has_its_border_at_the_faces():
    assert (distances_of(np.ones((24, 24, 24), bool)) < 0).all()


def test_the_hull_of_a_ball_is_close_around_it(scene):
    found = first_shape(scene, hull=True)
    side = scene.box.half * 2
    true = (centres(HULL_CELLS) * side + torch.from_numpy(scene.box.centre)).norm(dim=-1) - RADIUS
    near = (found.abs() < 0.05) & (true.abs() < 0.3)
    assert near.sum() > 1000
    # A hull is never smaller, and of 12 views with coarse pixels a little larger.
    assert -0.01 < float((true / side - found)[near].mean()) < 0.06


def test_without_a_hull_it_is_a_sphere(scene):
    found = first_shape(scene, hull=False)
    torch.testing.assert_close(found, (centres(HULL_CELLS).norm(dim=-1) - SPHERE_RADIUS))


def torus(points: torch.Tensor) -> torch.Tensor:
    around = points[..., :2].norm(dim=-1) - 0.27
    return torch.stack([around, points[..., 2]], dim=-1).norm(dim=-1) - 0.09


def test_the_regression_keeps_signs_and_slopes(scene):
    field = Neus(**SMALL).prepare(scene).build_field(scene.domain, scene.channels, 0)
    assert not field.surface_begun
    field.begin_surface(torus(centres(HULL_CELLS)))
    assert field.surface_begun
    points = torch.rand(10_000, 3, generator=torch.Generator().manual_seed(0))
    true = torus(points - 0.5)
    with torch.no_grad():
        found = field.signed_distance(points)
        sure = true.abs() > 0.004
        assert ((found < 0) == (true < 0))[sure].all()
        near = true.abs() < 0.03
        slopes = field.numerical_gradient(points[near], 1 / 64).norm(dim=-1)
    assert 0.9 < float(slopes.mean()) < 1.1


def test_a_plain_background_gives_a_hull_too(tmp_path):
    from PIL import Image

    folder = write_scene(tmp_path / "grey", side=32)
    for path in folder.glob("*/*.png"):
        image = Image.open(path)
        grey = Image.new("RGBA", image.size, (120, 120, 120, 255))
        Image.alpha_composite(grey, image).convert("RGB").save(path)
    scene = open_radiance(folder)
    assert scene.has_silhouettes and not scene.has_alpha
    cells = scene.hull_cells(32)
    assert cells is not None and 0.05 < 1 - cells.mean() < 0.9
    assert Neus().prepare(scene).background == "learned"
