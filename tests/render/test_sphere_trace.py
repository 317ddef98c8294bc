"""Sphere tracing against analytic surfaces."""

import pytest
import torch

from fields.render.camera import camera_rays
from fields.render.sphere_trace import normals_of, render_shape, sphere_trace
from scenes.posed.pose import orbit

CENTER = torch.tensor([0.5, 0.5, 0.5])


def ball(points, radius=0.3):
    return (points - CENTER.to(points)).norm(dim=-1) - radius


def torus(points):
    p = points - CENTER.to(points)
    return torch.stack([p[:, [0, 2]].norm(dim=-1) - 0.3, p[:, 1]], dim=-1).norm(dim=-1) - 0.1


def exact_hit(origins, directions, radius=0.3):
    """t of the nearer intersection of each ray with the ball; NaN where there is none."""
    p = origins - CENTER.to(origins)
    b = (p * directions).sum(-1)
    return -b - (b * b - (p * p).sum(-1) + radius * radius).sqrt()


def test_rays_hit_a_ball_where_its_equation_says():
    origins, directions = camera_rays(orbit(30.0, 20.0, 2.0, (64, 48)))
    origins, directions = origins.double(), torch.nn.functional.normalize(directions.double(), dim=-1)
    exact = exact_hit(origins, directions)
    hit, t = sphere_trace(ball, origins, directions, 0.5, 4.0, tolerance=1e-5)
    # Rays that pass by the ball at less than the tolerance may count either way.
    near_miss = (torch.linalg.cross(origins - CENTER, directions).norm(dim=-1) - 0.3).abs() < 1e-4
    assert torch.equal(hit | near_miss, ~exact.isnan() | near_miss)
    assert 300 < int(hit.sum()) < 64 * 48
    sure = hit & ~near_miss
    assert (t - exact)[sure].abs().max() < 1e-4
    assert (t[~hit] == 4.0).all()


def test_a_distance_that_is_overstated_still_hits():
    origins, directions = camera_rays(orbit(0.0, 0.0, 2.0, (32, 32)))
    hit, t = sphere_trace(lambda p: ball(p) * 1.3, origins, directions, 0.5, 4.0, tolerance=1e-4)
    exact = exact_hit(origins, directions)
    # The side that faces the camera.
    sure = exact < exact.nan_to_num(9).amin() + 0.1
    assert hit[sure].all() and (t - exact)[sure].abs().max() < 1e-3


def test_hits_lie_between_near_and_far_and_a_ray_from_inside_hits_at_near():
    origins = CENTER.repeat(5, 1) + torch.tensor([0.0, 0.0, 1.0])
    origins[4] = CENTER
    directions = torch.tensor([0.0, 0.0, -1.0]).repeat(5, 1)
    near = torch.tensor([0.0, 0.0, 0.8, 0.5, 0.0])
    far = torch.tensor([9.0, 0.6, 9.0, 0.5, 9.0])
    hit, t = sphere_trace(ball, origins, directions, near, far)
    assert hit.tolist() == [True, False, True, False, True]
    assert t[hit].tolist() == pytest.approx([0.7, 0.8, 0.0], abs=1e-3)


def test_a_nan_ends_only_its_own_ray():
    origins = torch.tensor([[0.5, 0.5, 1.5], [0.6, 0.5, 1.5]])
    directions = torch.tensor([[0.0, 0.0, -1.0]]).repeat(2, 1)
    hit, _ = sphere_trace(lambda p: torch.where(p[:, 0] > 0.55, torch.nan, ball(p)), origins, directions, 0.0, 3.0)
    assert hit.tolist() == [True, False]


def test_no_rays_give_no_hits():
    hit, t = sphere_trace(ball, torch.zeros(0, 3), torch.zeros(0, 3), 0.0, 1.0)
    assert hit.shape == t.shape == (0,)


@pytest.mark.parametrize("method", ["difference", "autograd"])
def test_normals_of_a_ball_point_away_from_its_center(method):
    directions = torch.nn.functional.normalize(torch.randn(500, 3, dtype=torch.float64), dim=-1)
    found = normals_of(ball, CENTER + 0.3 * directions, method)
    assert (found - directions).abs().max() < (4e-3 if method == "difference" else 1e-9)


def test_refuses_an_unknown_method_for_normals():
    with pytest.raises(ValueError, match="difference or autograd"):
        normals_of(ball, torch.zeros(1, 3), "guess")


def test_an_image_of_a_torus_shows_its_hole_its_depth_and_its_color():
    camera = orbit(0.0, 89.0, 2.2, (80, 80))
    view = render_shape(torus, camera)
    assert view.color.shape == (80, 80, 3) and view.hit.shape == view.depth.shape == (80, 80)
    # The hole is seen from above.
    assert not view.hit[40, 40] and view.hit[40].any()
    assert (view.color[~view.hit] == 1.0).all() and (view.color[view.hit] < 1.0).all() and (view.color >= 0.0).all()
    assert torch.equal(view.depth.isfinite(), view.hit)
    assert float(view.depth.min()) == pytest.approx(2.1, abs=0.03)
    assert view.points.shape == (int(view.hit.sum()), 3)
    assert torus(view.points).abs().max() < 1e-3
    painted = render_shape(torus, camera, albedo=lambda p: torch.tensor([1.0, 0.0, 0.0]).expand(len(p), 3))
    assert (painted.color[view.hit][:, 1:] == 0).all() and (painted.color[view.hit][:, 0] > 0.2).all()


def test_an_image_without_a_surface_is_background():
    view = render_shape(lambda p: torch.ones(len(p)), orbit(0, 0, 2, (8, 8)), background=(0.0, 0.5, 1.0))
    assert not view.hit.any() and len(view.points) == 0
    assert (view.color == torch.tensor([0.0, 0.5, 1.0])).all()


@pytest.mark.parametrize("steepness", [2.5, 10.0, 1e4])
def test_a_field_that_is_much_too_steep_has_no_holes(steepness):
    """Steps that lead from outside to inside and back would grow forever where the slope is above 2 / step_fraction."""
    origins, directions = camera_rays(orbit(30.0, 20.0, 2.0, (64, 48)))
    exact = exact_hit(origins, directions)
    hit, t = sphere_trace(
        lambda points: steepness * ball(points).clamp(max=0.05 / steepness), origins, directions, 0.5, 4.0
    )
    deep = exact_hit(origins, directions, 0.29).isfinite()
    assert hit[deep].all() and not hit[exact.isnan() & ~exact_hit(origins, directions, 0.301).isfinite()].any()
    assert (t - exact)[deep].abs().max() < 3e-4
