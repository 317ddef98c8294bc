"""Compositing, distortion and importance sampling: native against reference, gradients against differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, instruction_set
from ray_helpers import random_samples

from fields.ops.composite import composite, compositing_weights
from fields.ops.distortion import distortion
from fields.ops.importance import importance_edges
from fields.ops.packed import Samples, from_edges

COUNTS = [0, 3, 17, 0, 1, 40, 0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_inputs(random, samples, channels=3, max_density=3.0, dtype=torch.float64):
    """Density `[S]` and colors `[S, channels]` that require gradients."""
    density = torch.rand(len(samples), generator=random, dtype=torch.float64).pow(3) * max_density
    colors = torch.rand(len(samples), channels, generator=random, dtype=torch.float64)
    return density.to(dtype).requires_grad_(), colors.to(dtype).requires_grad_()


def results_and_gradients(density, colors, samples, threshold, backend, seed=9):
    """All results by name, and the gradients of a random weighted sum of them."""
    results = composite(density, colors, samples, threshold=threshold, backend=backend)
    random = generator(seed)
    total = sum((r * torch.randn(r.shape, generator=random, dtype=torch.float64).to(r)).sum() for r in results)
    names = ("color", "opacity", "depth", "weights", "grad density", "grad colors")
    return dict(zip(names, (*results, *torch.autograd.grad(total, (density, colors)))))


def assert_all_close(found, expected, tolerance):
    for name in expected:
        assert_close(found[name].double(), expected[name].double(), tolerance, name, floor=1e-3)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 50), min_size=0, max_size=80),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.01, 0.5]),
)
def test_native_composite_matches_reference(seed, counts, channels, threshold):
    random = generator(seed)
    samples = random_samples(random, counts)
    density, colors = random_inputs(random, samples, channels)
    expected = results_and_gradients(density, colors, samples, threshold, "torch")
    assert_all_close(results_and_gradients(density, colors, samples, threshold, "native"), expected, 1e-11)
    # In float32 a sample may lie on the other side of the threshold; without one, nothing is cut.
    expected = results_and_gradients(density, colors, samples, 0.0, "torch")
    floats = Samples(samples.t_starts.float(), samples.t_ends.float(), samples.ray_indices, samples.offsets)
    for isa in available_isas():
        with instruction_set(isa):
            found = results_and_gradients(
                density.detach().float().requires_grad_(),
                colors.detach().float().requires_grad_(),
                floats,
                0.0,
                "native",
            )
            assert_all_close(found, expected, 2e-5)


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_composite_gradients_match_differences(backend, threshold):
    samples = random_samples(generator(1), COUNTS)
    leaves = random_inputs(generator(2), samples)
    assert torch.autograd.gradcheck(
        lambda d, c: tuple(composite(d, c, samples, threshold=threshold, backend=backend)), leaves
    )
    assert torch.autograd.gradcheck(
        lambda d: compositing_weights(d, samples, threshold=threshold, backend=backend), leaves[:1]
    )


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_composite_of_one_ray_by_hand(backend, dtype):
    samples = from_edges(torch.tensor([[1.0, 2.0, 4.0]], dtype=dtype))
    density = torch.tensor([math.log(2.0), math.log(2.0)], dtype=dtype)
    colors = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=dtype)
    found = composite(density, colors, samples, backend=backend)
    torch.testing.assert_close(found.weights, torch.tensor([0.5, 0.375], dtype=dtype))
    torch.testing.assert_close(found.color, torch.tensor([[0.5, 0.375]], dtype=dtype))
    torch.testing.assert_close(found.opacity, torch.tensor([0.875], dtype=dtype))
    torch.testing.assert_close(found.depth, torch.tensor([0.5 * 1.5 + 0.375 * 3.0], dtype=dtype))


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_samples_below_the_threshold_get_no_weight_and_no_gradient(backend):
    """Each sample absorbs half of the light, so less than 0.2 of it reaches the fourth sample and those after it."""
    samples = from_edges(torch.arange(8.0)[None])
    density = torch.full((7,), math.log(2.0), requires_grad=True)
    colors = torch.rand(7, 3, generator=generator(), requires_grad=True)
    found = composite(density, colors, samples, threshold=0.2, backend=backend)
    torch.testing.assert_close(found.weights, torch.tensor([0.5, 0.25, 0.125, 0, 0, 0, 0]))
    found.color.sum().backward()
    assert (density.grad[3:] == 0).all() and (colors.grad[3:] == 0).all() and (density.grad[:3] != 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_accurate_from_tiny_to_infinite_density(dtype):
    """Opacities down to 1e-12 and up to 1 keep their digits, and infinite density stops the light."""
    density = torch.tensor([1e-12, 1e-6, 1e-3, 0.3, 5.0, 30.0, 1e4, torch.inf], dtype=dtype)
    samples = from_edges(torch.tensor([[0.0, 1.0]], dtype=dtype).repeat(8, 1))
    for isa in available_isas():
        with instruction_set(isa):
            weights = compositing_weights(density, samples, backend="native")
            torch.testing.assert_close(
                weights, -torch.expm1(-density), rtol=4e-7 if dtype == torch.float32 else 1e-14, atol=0
            )


def test_nan_stays_on_its_ray():
    samples = from_edges(torch.arange(9.0)[None].repeat(5, 1))
    density, colors = (x.detach().float() for x in random_inputs(generator(), samples))
    density[17] = torch.nan
    for isa in available_isas():
        with instruction_set(isa):
            found = composite(density, colors, samples, threshold=1e-4, backend="native")
            assert (
                found.opacity.isnan().tolist()
                == found.color.isnan().all(-1).tolist()
                == [False, False, True, False, False]
            )


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_rays_without_samples_give_zeros(backend):
    for counts in ([], [0, 0]):
        samples = random_samples(generator(), counts)
        density, colors = random_inputs(generator(), samples)
        found = composite(density, colors, samples, backend=backend)
        assert found.color.shape == (len(counts), 3) and not found.color.any() and not found.opacity.any()
        found.color.sum().backward()
        assert density.grad.shape == (0,)
        assert distortion(found.weights, samples, backend).tolist() == [0.0] * len(counts)
        assert importance_edges(found.weights, samples, 2, backend=backend).tolist() == [[0.0] * 3] * len(counts)


def test_composite_does_not_depend_on_threads():
    samples = random_samples(generator(1), [30] * 400, torch.float32)
    density, colors = random_inputs(generator(2), samples, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(results_and_gradients(density, colors, samples, 1e-3, "native"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0][name], other[name]) for other in results[1:] for name in other)


# Distortion


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_distortion_gradients_match_differences(backend):
    samples = random_samples(generator(3), COUNTS)
    weights = torch.rand(len(samples), generator=generator(4), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: distortion(w, samples, backend), weights)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31), st.lists(st.integers(0, 40), max_size=70), st.sampled_from([torch.float32, torch.float64])
)
def test_native_distortion_matches_reference(seed, counts, dtype):
    random = generator(seed)
    samples = random_samples(random, counts)
    weights = torch.rand(len(samples), generator=random, dtype=torch.float64).requires_grad_()
    expected = distortion(weights, samples, "torch")
    upstream = torch.randn(len(counts), generator=random, dtype=torch.float64)
    (slope,) = torch.autograd.grad(expected, weights, upstream)
    cast = Samples(samples.t_starts.to(dtype), samples.t_ends.to(dtype), samples.ray_indices, samples.offsets)
    leaf = weights.detach().to(dtype).requires_grad_()
    for isa in available_isas():
        with instruction_set(isa):
            found = distortion(leaf, cast, "native")
            (found_slope,) = torch.autograd.grad(found, leaf, upstream.to(dtype))
            tolerance = 1e-11 if dtype == torch.float64 else 2e-5
            assert_close(found.double(), expected.detach(), tolerance, "loss", floor=1e-3)
            assert_close(found_slope.double(), slope, tolerance, "gradient", floor=1e-3)


def test_distortion_far_from_the_origin_keeps_its_digits_in_float32():
    """Distances are taken from the ray's first sample: far away nothing cancels."""
    edges = torch.linspace(0, 1, 33, dtype=torch.float64)[None]
    weights = torch.rand(32, generator=generator(), dtype=torch.float64)
    near = distortion(weights, from_edges(edges))
    far = distortion(weights.float(), from_edges((edges + 1024).float()))
    assert float(far) == pytest.approx(float(near), rel=1e-4)


# Importance sampling


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.lists(st.integers(0, 30), max_size=70), st.integers(1, 40), st.sampled_from([None, 0, 3])
)
def test_native_importance_edges_match_reference(seed, counts, count, jitter):
    random = generator(seed)
    samples = random_samples(random, counts)
    weights = torch.rand(len(samples), generator=random, dtype=torch.float64)
    weights[torch.rand(len(samples), generator=random) < 0.3] = 0.0
    expected = importance_edges(weights, samples, count, seed=jitter, first_ray=5, backend="torch")
    floats = Samples(samples.t_starts.float(), samples.t_ends.float(), samples.ray_indices, samples.offsets)
    for isa in available_isas():
        with instruction_set(isa):
            native = importance_edges(weights, samples, count, seed=jitter, first_ray=5, backend="native")
            assert_close(native, expected, 1e-11)
            found = importance_edges(weights.float(), floats, count, seed=jitter, first_ray=5, backend="native")
    assert (found.diff() >= -1e-6).all()
    # Compare the weight before each edge in float32 and float64. In a gap without weight, an edge may be anywhere.
    for ray in range(samples.num_rays):
        part = slice(int(samples.offsets[ray]), int(samples.offsets[ray + 1]))
        starts, ends = samples.t_starts[part], samples.t_ends[part]
        w = weights[part] if weights[part].sum() > 0 else ends - starts
        if w.sum() > 0:
            # Several intervals of length zero may lie at the same t.
            bound = 2e-4 + (w * (ends == starts)).sum() / w.sum()
            before, expected_before = (weight_before(t[ray].double(), w, starts, ends) for t in (found, expected))
            assert (before - expected_before).abs().max() <= bound


def weight_before(t, weights, starts, ends):
    """Fraction of the weight before each t, for weights that are uniform over their intervals."""
    lengths = torch.where(ends > starts, ends - starts, 1.0)
    inside = ((t[:, None] - starts) / lengths).clamp(0, 1)
    passed = torch.where(ends > starts, inside, (t[:, None] >= starts).double())
    return (passed * weights).sum(1) / weights.sum()


def test_importance_edges_lie_where_the_weight_is():
    samples = from_edges(torch.linspace(0, 1, 11, dtype=torch.float64)[None])
    weights = torch.zeros(10, dtype=torch.float64)
    weights[3], weights[7] = 1.0, 3.0
    edges = importance_edges(weights, samples, 7)
    expected = [0.3 + 0.1 * 0.25, 0.3 + 0.1 * 0.75, *(0.7 + 0.1 * (k + 0.5) / 6 for k in range(6))]
    torch.testing.assert_close(edges[0], torch.tensor(expected, dtype=torch.float64))
    seeded = importance_edges(weights, samples, 7, seed=4)
    assert not torch.equal(seeded, edges) and ((seeded > 0.3) & (seeded < 0.4) | (seeded > 0.7) & (seeded < 0.8)).all()


def test_refuses_tensors_that_do_not_fit_together():
    samples = from_edges(torch.arange(4.0)[None])
    density, colors = torch.ones(3), torch.ones(3, 3)
    for change, message in [
        ((density[:2], colors), "an entry for each"),
        ((density.double(), colors), "all must be"),
        ((density.half(), colors.half()), "all must be|float32 or float64"),
        ((density[:, None], colors), "density is"),
        ((density, colors[:, 0]), "density is"),
    ]:
        with pytest.raises(ValueError, match=message):
            composite(*change, samples)
    with pytest.raises(ValueError, match="fraction of light"):
        composite(density, colors, samples, threshold=2.0)
    for offsets in ([0, 4], [1, 3], [0, 5, 3]):
        bad = Samples(samples.t_starts, samples.t_ends, samples.ray_indices, torch.tensor(offsets))
        with pytest.raises(ValueError, match="rise from 0"):
            composite(density, colors, bad)
    with pytest.raises(ValueError, match="offsets must be"):
        composite(
            density, colors, Samples(samples.t_starts, samples.t_ends, samples.ray_indices, samples.offsets.int())
        )
    with pytest.raises(ValueError, match="count at least 1"):
        importance_edges(density, samples, 0)
    with pytest.raises(ValueError, match="weights are"):
        distortion(density[:, None], samples)
