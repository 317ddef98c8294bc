"""Volume rendering against analytic absorption, its batches and gradients, and the occupancy grid over its updates."""

import math

import pytest
import torch

from fields.models.field import RadianceField
from fields.ops.distortion import distortion
from fields.render.camera import camera_rays
from fields.render.volume import render_rays, render_view
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from scenes.domain import Axis, Channels, Domain
from scenes.posed.pose import orbit


class Fog(RadianceField):
    """A ball of constant density, colored by position and a little by the direction of view."""

    def __init__(self, density=8.0, radius=0.3):
        super().__init__(Domain(tuple(Axis(a, 0.0, 1.0, "") for a in "xyz")), Channels(("r", "g", "b"), "srgb"))
        self.strength = torch.nn.Parameter(torch.tensor(density))
        self.radius = radius

    def density(self, coords, time=None, directions=None):
        centre = 0.5 if time is None else 0.5 + 0.2 * time[:, None]
        inside = (coords - centre).norm(dim=-1) < self.radius
        return self.strength * inside, coords

    def color(self, feature, directions):
        return feature * 0.8 + 0.1 * (directions + 1.0)


def density_at(field, points):
    return field.density(points)[0]


@pytest.fixture
def grid():
    """Occupied cells of the ball and of every cell it cuts: those of a ball larger by a cell's diagonal."""
    grid = OccupancyGrid(32)
    grid.update(lambda p: density_at(Fog(radius=0.3 + 3**0.5 / 32), p).detach(), 0.01)
    return grid


CAMERA = orbit(35.0, 20.0, 1.6, (40, 30))


def test_a_ball_of_fog_absorbs_by_the_length_of_its_chords(grid):
    exact = MarchSettings(step=0.002, min_transmittance=0.0)
    view = render_view(Fog(), CAMERA, grid=grid, march=exact, background=0.0)
    origins, directions = camera_rays(CAMERA)
    across = torch.linalg.cross(origins - 0.5, directions).norm(dim=-1)
    chord = 2 * (0.3**2 - across**2).clamp(min=0).sqrt()
    expected = 1 - torch.exp(-8.0 * chord).reshape(30, 40)
    assert (view.opacity - expected).abs().max() < 0.03 and (view.opacity - expected).abs().mean() < 2e-3
    assert torch.equal(view.depth.isinf(), view.opacity <= 1e-3)
    # The central pixel sees the front of the ball: at 1.6 - 0.3, then on average less than 1 / density further.
    assert 1.3 < float(view.depth[15, 20]) < 1.3 + 1 / 8


def test_the_chunk_size_does_not_change_an_image(grid):
    march = MarchSettings()
    whole = render_view(Fog(), CAMERA, grid=grid, march=march, chunk=10**6, seed=3)
    for chunk in (1, 97, 600):
        if chunk == 1:  # a row is enough
            camera = orbit(35.0, 20.0, 1.6, (40, 1))
            parts, reference = (
                render_view(Fog(), camera, grid=grid, march=march, chunk=1, seed=3),
                render_view(Fog(), camera, grid=grid, march=march, seed=3),
            )
        else:
            parts, reference = render_view(Fog(), CAMERA, grid=grid, march=march, chunk=chunk, seed=3), whole
        for name in ("color", "opacity", "depth"):
            assert torch.equal(getattr(parts, name), getattr(reference, name)), (chunk, name)


def test_empty_cells_do_not_change_an_image(grid):
    everything = OccupancyGrid(32)
    assert 0.05 < grid.occupied_fraction < 0.3 and everything.occupied_fraction == 1.0
    a, b = (render_view(Fog(), CAMERA, grid=g, march=MarchSettings(step=0.005)) for g in (grid, everything))
    torch.testing.assert_close(a.opacity, b.opacity, atol=1e-5, rtol=0)
    torch.testing.assert_close(a.color, b.color, atol=1e-5, rtol=0)


def test_light_that_passes_shows_the_background_and_sends_it_gradients(grid):
    origins, directions = camera_rays(CAMERA)
    field = Fog()
    march = MarchSettings(step=0.01)
    on_black, on_white = (
        render_rays(field, origins, directions, grid=grid, march=march, background=b) for b in (0.0, 1.0)
    )
    torch.testing.assert_close(on_white.color - on_black.color, (1 - on_black.opacity)[:, None].expand(-1, 3))
    learned = torch.tensor([0.2, 0.4, 0.6], requires_grad=True)
    found = render_rays(field, origins, directions, grid=grid, march=march, background=learned, seed=1)
    (found.color.sum() + distortion(found.weights, found.samples).sum()).backward()
    torch.testing.assert_close(learned.grad, (1 - found.opacity).sum().expand(3))
    assert field.strength.grad.isfinite() and float(field.strength.grad) != 0.0
    assert len(found.weights) == len(found.samples) > 0


def test_querying_color_only_where_there_is_weight_does_not_change_the_gradient_of_density(grid):
    march = MarchSettings(step=0.01, min_transmittance=1e-3)
    origins, directions = (x[400:700].double() for x in camera_rays(CAMERA))
    field = Fog(60.0).double()

    def loss(strength):
        field.strength.data.fill_(float(strength))
        field.zero_grad()
        total = (render_rays(field, origins, directions, grid=grid, march=march).color ** 2).sum()
        total.backward()
        return float(total.detach()), float(field.strength.grad)

    around = [loss(60.0 + e)[0] for e in (-1e-4, 1e-4)]
    assert loss(60.0)[1] == pytest.approx((around[1] - around[0]) / 2e-4, rel=1e-4)


def test_rays_that_meet_nothing_show_the_background(grid):
    origins, directions = torch.full((3, 3), 5.0), torch.tensor([[1.0, 0.0, 0.0]]).repeat(3, 1)
    march = MarchSettings()
    found = render_rays(Fog(), origins, directions, grid=grid, march=march, background=0.25)
    assert (found.color == 0.25).all() and not found.opacity.any() and len(found.samples) == 0
    none = render_rays(Fog(), origins[:0], directions[:0], grid=grid, march=march)
    assert none.color.shape == (0, 3)


def test_time_and_contraction_reach_the_field():
    origins, directions = torch.tensor([[0.5, 0.5, 2.0]] * 2), torch.tensor([[0.0, 0.0, -1.0]] * 2)
    everything = OccupancyGrid(8)
    march = MarchSettings()
    small = Fog(radius=0.1)
    opacity = render_rays(
        small, origins, directions, grid=everything, march=march, time=torch.tensor([0.0, 1.0])
    ).opacity
    assert opacity[0].item() > 0.5 and opacity[1].item() == 0.0
    view = render_view(small, orbit(0, 0, 2, (3, 3)), grid=everything, march=march, time=1.0)
    assert float(view.opacity[1, 1]) == 0.0
    wide = OccupancyGrid(8, cascades=3)
    # In these coordinates the ball is four times as large.
    march = MarchSettings(step=0.01, contract=lambda p: (p - 0.5) / 4 + 0.5)
    large = render_rays(Fog(), origins, directions, grid=wide, march=march)
    assert large.opacity[0].item() == pytest.approx(1 - math.exp(-8 * 2 * 1.2), abs=1e-3)


# The occupancy grid


def test_a_grid_starts_full_and_forgets_what_has_left():
    grid = OccupancyGrid(16, warmup_updates=1)
    assert grid.occupied_fraction == 1.0
    grid.update(lambda p: (p[:, 0] < 0.5).float() * 100, 0.01)
    assert grid.occupied_fraction == 0.5 and int(grid.updates) == 1
    # A cell forgets 5 % per update; from a thickness of 1 to 0.01 that takes about ninety.
    for _ in range(60):
        grid.update(lambda p: torch.zeros(len(p)), 0.01, seed=1)
    assert grid.occupied_fraction == 0.5
    for _ in range(40):
        grid.update(lambda p: (p[:, 0] > 0.75).float() * 100, 0.01, seed=1)
    assert 0.2 < grid.occupied_fraction < 0.26 and not grid.occupancy.cells()[0, :8].any()


def test_a_thin_field_keeps_its_densest_cells():
    grid = OccupancyGrid(16)
    grid.update(lambda p: 1e-3 * p[:, 0], 0.01)
    assert 0.4 < grid.occupied_fraction < 0.6


def test_each_cascade_spans_twice_as_much():
    grid = OccupancyGrid(16, cascades=2, lower=(-1.0, -1.0, -1.0), upper=(1.0, 1.0, 1.0))
    grid.update(lambda p: (p[:, 0] > 1.5).float() * 100, 0.01)
    cells = grid.occupancy.cells()
    assert not cells[0].any() and cells[1, 14:].all() and not cells[1, :14].any()


def test_nan_counts_as_no_density():
    grid = OccupancyGrid(8)
    grid.update(lambda p: torch.full((len(p),), torch.nan), 0.01)
    assert grid.occupied_fraction == 0.0 and grid.values.isfinite().all()


def test_a_grid_restored_from_its_state_continues_with_the_same_updates():
    def run_updates(grid, updates):
        for _ in range(updates):
            grid.update(lambda p: density_at(Fog(), p).detach(), 0.01, seed=7)

    straight, before, after = (OccupancyGrid(16, warmup_updates=2) for _ in range(3))
    run_updates(straight, 6)
    run_updates(before, 3)
    after.load_state_dict(before.state_dict())
    run_updates(after, 3)
    assert torch.equal(straight.values, after.values) and torch.equal(straight.words, after.words)
    assert torch.equal(after.occupancy.words, after.words)


def test_a_loaded_grid_marches_through_the_loaded_cells(grid):
    initial = OccupancyGrid(32)
    rays = camera_rays(CAMERA)
    assert len(initial.sample(*rays, step=0.01)) > len(grid.sample(*rays, step=0.01))
    initial.load_state_dict(grid.state_dict())
    assert torch.equal(initial.sample(*rays, step=0.01).t_starts, grid.sample(*rays, step=0.01).t_starts)


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 30},
        {"cascades": 0},
        {"decay": 0.0},
        {"threshold": 0.0},
        {"warmup_updates": 0},
        {"update_fraction": 0.0},
        {"lower": (1.0, 0.0, 0.0)},
    ],
)
def test_refuses_a_grid_with_values_out_of_range(change):
    with pytest.raises(ValueError):
        OccupancyGrid(**{"resolution": 8} | change)


def test_refuses_a_step_of_zero_and_chunks_without_rays(grid):
    with pytest.raises(ValueError, match="step is above zero"):
        grid.update(lambda p: p[:, 0], 0.0)
    with pytest.raises(ValueError, match="at least one ray"):
        render_view(Fog(), CAMERA, grid=grid, chunk=0)
