"""The opacity of signed distances in sections of rays: exact where the distance is linear, unbiased, differentiable."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fields.ops.composite import compositing_weights
from fields.ops.packed import Samples, from_edges
from fields.ops.sections import head_on_density, neighbours, section_density, with_neighbours

DOUBLE = torch.float64


def along(edges: torch.Tensor, distance) -> tuple[torch.Tensor, Samples]:
    samples = from_edges(edges)
    return distance(samples.midpoints), samples


def opacities(distance: torch.Tensor, samples: Samples, sharpness: float) -> torch.Tensor:
    weights = compositing_weights(section_density(distance, samples, sharpness), samples)
    return weights.new_zeros(samples.num_rays).index_add_(0, samples.ray_indices, weights)


@pytest.mark.parametrize("sharpness", [20.0, 200.0, 1e4])
@pytest.mark.parametrize("angle", [5.0, 15.0, 30.0, 60.0, 90.0])
def test_a_plane_is_met_where_it_is(sharpness, angle):
    # Half of the light is left at the plane itself, whatever the angle, the sharpness and the length of the sections.
    slope, half = math.sin(math.radians(angle)), 0.5 * 20.0 / sharpness / math.sin(math.radians(angle))
    edges = torch.linspace(1.0 - half, 1.0 + half, 41, dtype=DOUBLE)[None]
    distance, samples = along(edges, lambda t: (1.0 - t) * slope)
    weights = compositing_weights(section_density(distance, samples, sharpness), samples)
    passed = 1.0 - weights.cumsum(0)
    at_edges = torch.sigmoid(sharpness * (1.0 - edges[0, 1:]) * slope) / torch.sigmoid(
        torch.tensor(sharpness * half * slope, dtype=DOUBLE)
    )
    torch.testing.assert_close(passed, at_edges, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sharpness", [20.0, 300.0, 1e4])
def test_rays_that_hit_a_sphere_are_opaque_and_others_are_not(sharpness):
    edges = torch.linspace(0.0, 2.0, 1200, dtype=DOUBLE).expand(3, -1)
    across = torch.tensor([0.0, 0.2, 0.9], dtype=DOUBLE)
    samples = from_edges(edges)
    place = torch.stack([samples.midpoints - 1.0, across[samples.ray_indices]])
    distance = place.norm(dim=0) - 0.4
    found = opacities(distance, samples, sharpness)
    hit = 1.0 - math.exp(-sharpness * 0.2)
    assert found[0] > hit - 0.02 and found[1] > hit - 0.02
    assert found[2] <= math.exp(-sharpness * 0.4)


def test_sections_that_leave_a_surface_are_clear():
    distance, samples = along(torch.linspace(0.0, 1.0, 33, dtype=DOUBLE)[None], lambda t: t - 0.5)
    assert (section_density(distance, samples, 500.0) == 0).all()


def test_the_surface_stays_in_place_with_sections_longer_than_it_is_thick():
    for shift in np.linspace(0.0, 1.0, 7):
        edges = (torch.arange(12, dtype=DOUBLE)[None] + shift) * 0.1
        distance, samples = along(edges, lambda t: 0.63 - t)
        weights = compositing_weights(section_density(distance, samples, 1e4), samples)
        struck = int(weights.argmax())
        assert weights[struck] > 0.999 and samples.t_starts[struck] <= 0.63 <= samples.t_ends[struck]


def test_gradients_match_differences():
    random = torch.Generator().manual_seed(0)
    samples = from_edges(torch.linspace(0.0, 1.0, 9, dtype=DOUBLE).expand(4, -1))
    distance = 0.3 - samples.midpoints + 0.05 * torch.randn(len(samples), dtype=DOUBLE, generator=random)
    distance.requires_grad_()
    for sharpness in (5.0, 60.0):
        assert torch.autograd.gradcheck(lambda d: section_density(d, samples, sharpness), (distance,))  # noqa: B023
        assert torch.autograd.gradcheck(lambda d: head_on_density(d, 0.1, sharpness), (distance,))  # noqa: B023


@given(st.integers(0, 2**20))
def test_a_sample_depends_on_its_neighbours_alone(seed):
    random = torch.Generator().manual_seed(seed)
    samples = from_edges(torch.rand(3, 12, generator=random, dtype=DOUBLE).cumsum(1))
    samples = samples.select(torch.rand(len(samples), generator=random) < 0.7)
    if not len(samples):
        return
    mask = torch.rand(len(samples), generator=random) < 0.3
    needed = with_neighbours(mask, samples)
    distance = torch.randn(len(samples), generator=random, dtype=DOUBLE)
    changed = torch.where(needed, distance, distance + 1.0)
    before, after = (section_density(d, samples, 3.0)[mask] for d in (distance, changed))
    assert torch.equal(before, after)


def test_gaps_and_other_rays_part_sections():
    samples = from_edges(torch.tensor([[0.0, 1.0, 2.0, 3.0], [3.0, 4.0, 5.0, 6.0]]))
    assert neighbours(samples).tolist() == [True, True, False, True, True]
    gap = samples.select(torch.tensor([True, False, True, True, True, True]))
    assert neighbours(gap).tolist() == [False, False, True, True]


def test_a_lone_sample_is_met_head_on():
    samples = from_edges(torch.tensor([[0.2, 0.3]], dtype=DOUBLE))
    distance = torch.tensor([0.01], dtype=DOUBLE)
    expected = head_on_density(distance, 0.1, 40.0)
    torch.testing.assert_close(section_density(distance, samples, 40.0), expected)


def test_no_samples_have_no_density():
    assert section_density(torch.zeros(0), from_edges(torch.zeros(0, 2)), 10.0).shape == (0,)
