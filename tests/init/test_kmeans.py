"""Weighted k-means and weighted draws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.init.kmeans import cluster_covariances, weighted_draw, weighted_kmeans
from fields.ops.neighbours import nearest


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def objective(points, weights, centres):
    closest = centres[nearest(points, centres, 1)[:, 0].long()]
    return float((weights * (points - closest).square().sum(-1)).sum())


@given(st.integers(1, 3), st.integers(1, 20), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_weighted_objective_of_kmeans_never_rises(dimensions, count, seed):
    points = torch.rand(200, dimensions, generator=seeded(seed))
    weights = torch.rand(200, generator=seeded(seed + 1)).where(
        torch.rand(200, generator=seeded(seed + 2)) > 0.3, torch.tensor(0.0)
    )
    found = [
        objective(points, weights, weighted_kmeans(points, weights, count, seeded(seed), iterations=n))
        for n in (0, 1, 2, 5, 10)
    ]
    assert all(b <= a * (1 + 1e-5) + 1e-7 for a, b in zip(found, found[1:]))


def test_centres_move_to_where_the_weight_is():
    points = torch.rand(2000, 2, generator=seeded())
    heavy = points[:, 0] < 0.1
    centres = weighted_kmeans(points, torch.where(heavy, 1.0, 1e-3), 50, seeded())
    assert (centres[:, 0] < 0.1).float().mean() > 0.8


def test_weighted_draws_follow_the_weights_and_never_repeat():
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 1.0])
    assert weighted_draw(weights, 3, seeded()).tolist() == [1, 3, 4]
    first = torch.stack([weighted_draw(weights, 1, seeded(seed)) for seed in range(2000)])
    assert abs(float((first == 3).float().mean()) - 0.6) < 0.04
    with pytest.raises(ValueError, match="3 have a weight"):
        weighted_draw(weights, 4, seeded())


def test_cluster_covariances_equal_numpys():
    points, weights = torch.randn(300, 3, generator=seeded()), torch.rand(300, generator=seeded(1))
    centre = (weights[:, None] * points).sum(0, keepdim=True) / weights.sum()
    found = cluster_covariances(points, weights, centre)[0]
    np.testing.assert_allclose(found, np.cov(points.numpy().T, aweights=weights.numpy(), ddof=0), atol=1e-6)


def test_refuses_negative_weights():
    with pytest.raises(ValueError, match="finite and not negative"):
        weighted_kmeans(torch.rand(9, 2), torch.full((9,), -1.0), 2, seeded())
