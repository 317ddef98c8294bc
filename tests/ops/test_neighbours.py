"""Nearest neighbours: the k-d tree against all distances."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import available_isas, instruction_set

from fields.ops.neighbours import nearest


def places(kind, count, dimensions, seed):
    random = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, dimensions, generator=random)
    if kind == "lattice":  # many at the same distance, and many in one place
        return (uniform * 4).round() / 4
    if kind == "curve":
        return torch.stack([torch.sin(6.0 * uniform[:, 0] * (axis + 1)) for axis in range(dimensions)], -1)
    if kind == "far":
        return 1000.0 + uniform
    if kind == "one place":
        return torch.full_like(uniform, 0.5)
    return uniform


KINDS = ("uniform", "lattice", "curve", "far", "one place")


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
def test_tree_equals_all_distances(isa, dimensions, centres, points, count, kind, seed):
    count = min(count, centres)
    where, queries = places(kind, centres, dimensions, seed), places(kind, points, dimensions, seed + 1)
    with instruction_set(isa):
        assert torch.equal(nearest(queries, where, count, "native"), nearest(queries, where, count, "torch"))


def test_many():
    where, queries = places("curve", 25_000, 3, 0), places("uniform", 300, 3, 1)
    assert torch.equal(nearest(queries, where, 8, "native"), nearest(queries, where, 8, "torch"))


def test_scipy_agrees():
    spatial = pytest.importorskip("scipy.spatial")
    where, queries = places("uniform", 5_000, 2, 0), places("uniform", 5_000, 2, 1)
    squares, _ = spatial.cKDTree(where.double().numpy()).query(queries.double().numpy(), 4)
    found = nearest(queries, where, 4, "native").long()
    distances = (queries.double()[:, None] - where.double()[found]).norm(dim=-1)
    assert torch.allclose(distances, torch.from_numpy(squares), atol=1e-6)


def test_leading_shape_and_dtype():
    where = places("uniform", 50, 2, 0)
    queries = places("uniform", 24, 2, 1)
    found = nearest(queries.double().view(2, 3, 4, 2), where, 3)
    assert found.shape == (2, 3, 4, 3) and found.dtype == torch.int32
    assert torch.equal(found.view(24, 3), nearest(queries, where, 3))


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
def test_bad_input(coords, centres, count, message):
    with pytest.raises(ValueError, match=message):
        nearest(coords, centres, count)
