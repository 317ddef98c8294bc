"""The first shape of a fit with a surface: distances to a hull, a sphere, and the regression to either."""

import numpy as np
import pytest
import torch

from fields.fit.objectives.occupancy_updates import OccupancyUpdates
from fields.fit.objectives.surface_start import (
    HULL_CELLS,
    MIN_STEPS,
    SHORT,
    SPHERE_RADIUS,
    START_STEPS,
    distances_of,
    first_shape,
    start_steps,
)
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
    field.begin_surface(torus(centres(HULL_CELLS)), START_STEPS)
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


def test_the_start_of_a_short_fit_is_short(scene, monkeypatch):
    assert start_steps(None) == start_steps(480.0) == START_STEPS and start_steps(5.0) == MIN_STEPS
    asked, empty_cells = [], scene.empty_cells
    monkeypatch.setattr(scene, "empty_cells", lambda cells: asked.append(cells) or empty_cells(cells))
    monkeypatch.setattr(scene, "hull_cells", None)  # (the hull is computed once)
    field = Neus(**SMALL).prepare(scene).build_field(scene.domain, scene.channels, 0)
    found = []
    for seconds in (SHORT + 1, 10.0):
        monkeypatch.setattr(scene, "fit_seconds", seconds)
        monkeypatch.setattr(field, "begin_surface", lambda distances, steps: found.append((len(distances), steps)))
        updates = OccupancyUpdates(scene)
        updates.begin(field, hull=True)
        updates.grid.mark(lambda cells: torch.ones(len(cells), dtype=torch.bool))
        wanted = torch.from_numpy(empty_cells(field.cells // len(found)))
        for axis in range(3):
            wanted = wanted.repeat_interleave(len(found), axis)
        assert torch.equal(updates.grid.occupancy.cells()[0], ~wanted)
    assert asked == [field.cells, field.cells // 2]
    assert found == [(field.cells, start_steps(SHORT + 1)), (field.cells // 2, MIN_STEPS)]


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
    method = Neus(**SMALL).prepare(scene)
    assert method.background == "learned"
    # From another color on, the field shows the background itself, as fog in front of the object.
    field = method.build_field(scene.domain, scene.channels, 0)
    OccupancyUpdates(scene).begin(field, hull=True)
    background = field.background_color()
    assert background is not None and background.tolist() == pytest.approx([120 / 255] * 3, abs=1e-6)


@pytest.fixture
def analytic(scene, monkeypatch):
    """A field whose network is replaced by a formula, sin(2x) cos(3y) + z^3 in sides of the cube."""
    field = Neus(**SMALL).prepare(scene).build_field(scene.domain, scene.channels, 0)

    def evaluate(coords, frozen=False):
        x, y, z = coords.double().unbind(-1)
        return 2.0 * (torch.sin(2 * x) * torch.cos(3 * y) + z**3)[..., None]

    monkeypatch.setattr(field, "_evaluate", evaluate)
    return field


def slope(points: torch.Tensor) -> torch.Tensor:
    x, y, z = points.double().unbind(-1)
    return torch.stack(
        [2 * torch.cos(2 * x) * torch.cos(3 * y), -3 * torch.sin(2 * x) * torch.sin(3 * y), 3 * z * z], -1
    )


def test_taps_err_with_the_square_of_their_size(analytic):
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.2
    errors = [float((analytic.numerical_gradient(points, size) - slope(points)).abs().mean()) for size in (0.08, 0.02)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.05)


def test_taps_at_the_faces_of_the_cube_are_as_long_as_they_are(analytic):
    points = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 1.0]])
    assert (analytic.numerical_gradient(points, 1e-3) - slope(points)).abs().max() < 0.02


def test_the_normal_is_the_direction_of_the_slope(analytic):
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(2))
    true = torch.nn.functional.normalize(slope(points), dim=-1).float()
    torch.testing.assert_close(analytic.normals(points), true, atol=1e-4, rtol=1e-4)


def test_schedules_go_from_the_first_to_the_last_value(scene):
    method = Neus(**SMALL | {"first_levels": 2, "start_sharpness": 50.0}).prepare(scene)
    field = method.build_field(scene.domain, scene.channels, 0)
    field.before_step(0, 100)
    assert float(field.sharpness) == pytest.approx(50.0) and field.gates.tolist() == [1, 1, 0, 0, 0, 0]
    field.before_step(99, 100)
    assert float(field.sharpness) == pytest.approx(method.end_sharpness) and field.gates.tolist() == [1] * 6
    # The trainer may still be measuring how many steps there will be.
    field.before_step(9, 100)
    early = float(field.sharpness)
    field.before_step(9, None)
    assert float(field.sharpness) == early
