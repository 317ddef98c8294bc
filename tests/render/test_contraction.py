"""The contraction of space and its inverse, and ray intervals for unbounded scenes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.sampling.contraction import contract, disparity_edges, spaced_edges, uncontract


@pytest.mark.parametrize("norm", ["max", "euclid"])
def test_the_cube_is_not_distorted_and_all_of_space_fits(norm):
    inside = torch.rand(200, 3, dtype=torch.float64) * 0.5 + 0.25
    torch.testing.assert_close(contract(inside, norm), inside * 0.5 + 0.25)
    anywhere = (
        torch.randn(2000, 3, dtype=torch.float64) * 10 ** torch.linspace(-2, 6, 2000, dtype=torch.float64)[:, None]
    )
    contracted = contract(anywhere, norm)
    assert float(contracted.min()) >= 0.0 and float(contracted.max()) <= 1.0
    far = contract(torch.tensor([[1e9, 0.5, 0.5]], dtype=torch.float64), norm)
    torch.testing.assert_close(far, torch.tensor([[1.0, 0.5, 0.5]], dtype=torch.float64), atol=1e-8, rtol=0)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 3), st.integers(0, 2**31), st.sampled_from(["max", "euclid"]))
def test_uncontract_inverts_contract(power, seed, norm):
    points = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 10**power
    torch.testing.assert_close(uncontract(contract(points, norm), norm), points, rtol=1e-6, atol=1e-9)


def test_a_point_farther_along_a_ray_is_contracted_to_one_farther_out():
    along = torch.logspace(-2, 5, 400, dtype=torch.float64)[:, None] * torch.tensor(
        [0.6, -0.48, 0.64], dtype=torch.float64
    )
    out = (contract(0.5 + along) - 0.5).abs().amax(dim=1)
    assert bool((out.diff() > 0).all())


def test_gradients_match_finite_differences():
    points = (torch.randn(20, 3, dtype=torch.float64) * 3).requires_grad_()
    assert torch.autograd.gradcheck(contract, (points,))


def test_disparity_edges_are_equally_spaced_in_inverse_distance():
    near, far = torch.tensor([0.5, 1.0]), torch.tensor([8.0, torch.inf])
    edges = disparity_edges(near, far, 32)
    torch.testing.assert_close(edges[:, 0], near)
    torch.testing.assert_close(edges[:, -1], torch.tensor([8.0, 1e6]))
    inverse = (1 / edges).diff(dim=1)
    torch.testing.assert_close(inverse, inverse[:, :1].expand_as(inverse), rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="count"):
        disparity_edges(near, far, 0)
    with pytest.raises(ValueError, match="norm"):
        contract(torch.zeros(1, 3), "manhattan")


def test_spaced_edges_are_even_up_to_the_knee_and_in_inverse_distance_beyond():
    near, far = torch.tensor([0.0, 1.0, 0.5]), torch.tensor([torch.inf, 8.0, 1.5])
    edges = spaced_edges(near, far, 40, 2.0)
    torch.testing.assert_close(edges[:, 0], near)
    torch.testing.assert_close(edges[:, -1], torch.tensor([2e6, 8.0, 1.5]), rtol=1e-1, atol=1e-4)
    torch.testing.assert_close(edges[0, :21], torch.linspace(0, 2, 21))
    torch.testing.assert_close((1 / edges[0, 20:]).diff(), torch.full((20,), -1 / 40), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(edges[2], torch.linspace(0.5, 1.5, 41))
    assert bool((edges.diff(dim=1) > 0).all())
    with pytest.raises(ValueError, match="knee"):
        spaced_edges(near, far, 4, 0.0)
