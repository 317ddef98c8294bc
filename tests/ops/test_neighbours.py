"""Nearest neighbours: the native search against the reference, which compares all distances."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import available_isas, instruction_set

from fields.ops.neighbours import nearest


def random_points(kind, count, dimensions, seed):
    random = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, dimensions, generator=random)
    if kind == "lattice":  # many points at the same distance, and many at the same position
        return (uniform * 4).round() / 4
    if kind == "curve":
        return torch.stack([torch.sin(6.0 * uniform[:, 0] * (axis + 1)) for axis in range(dimensions)], -1)
    if kind == "far":
        return 1000.0 + uniform
    if kind == "one position":
        return torch.full_like(uniform, 0.5)
    return uniform


KINDS = ("uniform", "lattice", "curve", "far", "one position")


@pytest.mark.parametrize("isa", available_isas())
@settings(max_examples=40, deadline=None)
@given(
    dimensions=st.integers(1, 3),
    centres=st.integers(1, 400),
    points=st.integers(0, 100),
    count=st.integers(1, 32),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 999),
)
def test_nearest_equals_reference(isa, dimensions, centres, points, count, kind, seed):
    count = min(count, centres)
    positions, queries = (
        random_points(kind, centres, dimensions, seed),
        random_points(kind, points, dimensions, seed + 1),
    )
    with instruction_set(isa):
        assert torch.equal(nearest(queries, positions, count, "native"), nearest(queries, positions, count, "torch"))


def test_nearest_of_many_centres_equals_reference():
    positions, queries = random_points("curve", 25_000, 3, 0), random_points("uniform", 300, 3, 1)
    assert torch.equal(nearest(queries, positions, 8, "native"), nearest(queries, positions, 8, "torch"))


def test_distances_match_scipy():
    spatial = pytest.importorskip("scipy.spatial")
    positions, queries = random_points("uniform", 5_000, 2, 0), random_points("uniform", 5_000, 2, 1)
    squares, _ = spatial.cKDTree(positions.double().numpy()).query(queries.double().numpy(), 4)
    found = nearest(queries, positions, 4, "native").long()
    distances = (queries.double()[:, None] - positions.double()[found]).norm(dim=-1)
    assert torch.allclose(distances, torch.from_numpy(squares), atol=1e-6)


def test_leading_shape_is_kept_and_indices_are_int32():
    positions = random_points("uniform", 50, 2, 0)
    queries = random_points("uniform", 24, 2, 1)
    found = nearest(queries.double().view(2, 3, 4, 2), positions, 3)
    assert found.shape == (2, 3, 4, 3) and found.dtype == torch.int32
    assert torch.equal(found.view(24, 3), nearest(queries, positions, 3))


@pytest.mark.parametrize(
    "coords, centres, count, message",
    [
        (torch.zeros(5, 2), torch.zeros(5, 4), 1, r"centres must be \[N, 1 to 3\]"),
        (torch.zeros(5, 3), torch.zeros(5, 2), 1, r"coords must be \[..., 2\]"),
        (torch.zeros(5, 2), torch.zeros(0, 2), 1, "centres must be"),
        (torch.zeros(5, 2), torch.zeros(5, 2), 6, "1 to 5, not 6"),
        (torch.zeros(5, 2), torch.zeros(50, 2), 33, "1 to 32, not 33"),
        (torch.full((5, 2), float("nan")), torch.zeros(5, 2), 1, "finite"),
        (torch.zeros(5, 2), torch.full((5, 2), float("inf")), 1, "finite"),
    ],
)
def test_refuses_bad_points_and_counts(coords, centres, count, message):
    with pytest.raises(ValueError, match=message):
        nearest(coords, centres, count)
