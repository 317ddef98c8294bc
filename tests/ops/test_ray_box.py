"""Intersection of rays and boxes: cases worked out by hand, and points of the interval against the box."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.ops.ray_box import ray_box

UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "origin, direction, expected",
    [
        ((-1.0, 0.5, 0.5), (1.0, 0.0, 0.0), (1.0, 2.0)),
        ((-1.0, 0.5, 0.5), (0.5, 0.0, 0.0), (2.0, 4.0)),  # t in units of the direction
        ((0.5, 0.5, 0.5), (0.0, -1.0, 0.0), (0.0, 0.5)),  # from inside
        ((2.0, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0)),  # behind
        ((-1.0, 1.5, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0)),  # beside, parallel
        ((-1.0, 1.0, 0.5), (1.0, 0.0, 0.0), (1.0, 2.0)),  # along a face
        ((-1.0, 0.0, 0.0), (1.0, -0.0, 0.0), (1.0, 2.0)),  # along an edge
        ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (1.0, 2.0)),  # through corners
        ((-1.0, 0.5, 0.5), (1.0, 5.0, 0.0), (0.0, 0.0)),  # past it
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_interval_of_cases_by_hand(origin, direction, expected, dtype):
    near, far = ray_box(torch.tensor([origin], dtype=dtype), torch.tensor([direction], dtype=dtype), *UNIT)
    assert near.dtype == far.dtype == dtype
    assert (float(near), float(far)) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 40))
def test_points_are_inside_exactly_between_near_and_far(seed, count):
    random = torch.Generator().manual_seed(seed)
    lower = torch.randn(3, generator=random, dtype=torch.float64)
    upper = lower + torch.rand(3, generator=random, dtype=torch.float64) + 0.1
    origins = torch.randn(count, 3, generator=random, dtype=torch.float64) * 2
    directions = torch.randn(count, 3, generator=random, dtype=torch.float64)
    directions[torch.rand(count, 3, generator=random) < 0.2] = 0.0
    directions[:, 0] += (directions == 0).all(-1)
    near, far = ray_box(origins, directions, lower, upper)
    assert near.shape == far.shape == (count,) and (near >= 0).all() and (far >= near).all()
    t = torch.rand(count, 64, generator=random, dtype=torch.float64) * 12
    points = origins[:, None] + t[..., None] * directions[:, None]
    inside = ((points > lower) & (points < upper)).all(-1)
    assert torch.equal(inside, (t > near[:, None]) & (t < far[:, None]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"origins": torch.zeros(3)}, "N, 3"),
        ({"origins": torch.zeros(3, 3)}, "N, 3"),
        ({"origins": torch.zeros(2, 3, dtype=torch.float64)}, "float32 or float64"),
        ({"directions": torch.tensor([[1.0, 0, 0], [torch.nan, 0, 0]])}, "finite"),
        ({"directions": torch.tensor([[1.0, 0, 0], [torch.inf, 0, 0]])}, "finite"),
        ({"directions": torch.zeros(2, 3)}, "zero along all axes"),
        ({"upper": (1.0, 0.0, 1.0)}, "lower ones below"),
        ({"lower": (0.0, 0.0)}, None),
    ],
)
def test_refuses_bad_rays_and_boxes(change, message):
    arguments = {
        "origins": torch.zeros(2, 3),
        "directions": torch.ones(2, 3),
        "lower": UNIT[0],
        "upper": UNIT[1],
    } | change
    with pytest.raises((ValueError, RuntimeError), match=message):
        ray_box(**arguments)


def test_accepts_finite_rays_whose_sum_overflows():
    origins = torch.full((4, 3), 3e38)
    near, far = ray_box(origins, torch.ones(4, 3), *UNIT)
    assert not near.any() and not far.any()
