"""Marching: the native passes against the reference, sample for sample, and the guarantees about samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import available_isas, instruction_set
from ray_helpers import random_occupancy, random_rays

from fields.ops.march import Occupancy, march, occupied_reference, pack_cells, rays_in_cells
from fields.ops.packed import from_edges
from fields.ops.ray_box import ray_box


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def full_grid(cascades=1, resolution=8):
    return Occupancy(pack_cells(torch.ones(cascades, *[resolution] * 3, dtype=torch.bool)), resolution)


def assert_same_samples(a, b):
    for name in ("offsets", "ray_indices", "t_starts", "t_ends"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(0, 70),
    st.integers(1, 4),
    st.sampled_from([4, 8, 20]),
    st.sampled_from([0.0, 0.03]),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([5, 1000]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_native_samples_equal_reference(seed, count, cascades, resolution, cone, jitter, max_samples, dtype):
    """Sample for sample in float32 too: the processor rounds the same sums in the same order."""
    random = generator(seed)
    occupancy = random_occupancy(random, cascades, resolution, fraction=float(torch.rand((), generator=random)))
    rays = random_rays(random, count, occupancy, dtype)
    options = {
        "occupancy": occupancy,
        "step": 0.03,
        "cone": cone,
        "seed": jitter,
        "first_ray": seed % 1000,
        "max_samples": max_samples,
    }
    expected = march(*rays, **options, backend="torch")
    for isa in available_isas():
        with instruction_set(isa):
            assert_same_samples(march(*rays, **options, backend="native"), expected)
    native, reference = (ray_box(*rays[:2], *occupancy.outer_box, backend=backend) for backend in ("native", "torch"))
    assert all(torch.equal(a, b) for a, b in zip(native, reference))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([32, 64]), st.sampled_from([0.0, 0.01]))
def test_skipping_empty_blocks_loses_no_sample(seed, cascades, resolution, cone):
    """A few small lumps in a grid that is empty otherwise."""
    random = generator(seed)
    cells = torch.zeros(cascades, *[resolution] * 3, dtype=torch.bool)
    for cascade in range(cascades):
        for _ in range(3):
            x, y, z = torch.randint(0, resolution - 1, (3,), generator=random).tolist()
            cells[cascade, x : x + 3, y : y + 2, z : z + 2] = True
    occupancy = Occupancy(pack_cells(cells), resolution, (-1.0, 0.0, 0.5), (1.0, 1.5, 1.5))
    assert int(occupancy.clearance.max()) > 0
    rays = random_rays(random, 100, occupancy, torch.float32)
    options = {"occupancy": occupancy, "step": 0.02, "cone": cone, "seed": 1}
    expected = march(*rays, **options, backend="torch")
    for isa in available_isas():
        with instruction_set(isa):
            assert_same_samples(march(*rays, **options, backend="native"), expected)


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_samples_are_the_occupied_steps(backend):
    """One ray along a row of cells of which the second quarter is occupied."""
    cells = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    cells[0, 2:4, 4, 4] = True
    occupancy = Occupancy(pack_cells(cells), 8)
    origins, directions = torch.tensor([[-1.0, 0.55, 0.55]]), torch.tensor([[1.0, 0.0, 0.0]])
    near, far = ray_box(origins, directions, (0,) * 3, (1,) * 3)
    samples = march(origins, directions, near, far, occupancy=occupancy, step=0.0625, backend=backend)
    torch.testing.assert_close(samples.t_starts, torch.tensor([1.25, 1.3125, 1.375, 1.4375]))
    torch.testing.assert_close(samples.t_ends, samples.t_starts + 0.0625)
    assert samples.offsets.tolist() == [0, 4] and samples.ray_indices.tolist() == [0] * 4
    assert torch.equal(samples.positions(origins, directions)[:, 0], samples.midpoints - 1)


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_point_belongs_to_the_finest_cascade_that_contains_it(backend):
    cells = torch.zeros(3, 4, 4, 4, dtype=torch.bool)
    cells[1] = True
    occupancy = Occupancy(pack_cells(cells), 4)
    assert occupancy.outer_box == ((-1.5,) * 3, (2.5,) * 3)
    origins, directions = torch.tensor([[-2.0, 0.6, 0.6]]), torch.tensor([[1.0, 0.0, 0.0]])
    near, far = ray_box(origins, directions, *occupancy.outer_box)
    samples = march(origins, directions, near, far, occupancy=occupancy, step=0.125, backend=backend)
    x = samples.positions(origins, directions)[:, 0]
    expected = (torch.arange(32) + 0.5) * 0.125 - 1.5
    torch.testing.assert_close(x, expected[((expected - 0.5).abs() > 0.5) & ((expected - 0.5).abs() < 1.0)])


@pytest.mark.parametrize("cone", [0.0, 0.05])
@pytest.mark.parametrize("backend", ["native", "torch"])
def test_clearing_cells_moves_no_other_sample(cone, backend):
    occupancy = random_occupancy(generator(1), 2, 8, 0.4)
    everything = Occupancy(torch.full_like(occupancy.words, -1), 8, occupancy.lower, occupancy.upper)
    rays = random_rays(generator(2), 50, occupancy)
    some = march(*rays, occupancy=occupancy, step=0.02, cone=cone, seed=5, backend=backend)
    all_ = march(*rays, occupancy=everything, step=0.02, cone=cone, seed=5, backend=backend)
    inside = occupied_reference(all_.positions(*rays_in_cells(*rays[:2], occupancy)), occupancy)
    assert 0 < len(some) < len(all_)
    assert_same_samples(all_.select(inside), some)


def test_samples_do_not_depend_on_batches_of_rays():
    occupancy = random_occupancy(generator(3), 1, 8)
    rays = random_rays(generator(4), 90, occupancy)
    options = {"occupancy": occupancy, "step": 0.01}
    whole = march(*rays, **options, seed=11)
    parts = [march(*(x[i : i + 37] for x in rays), **options, seed=11, first_ray=i) for i in range(0, 90, 37)]
    assert torch.equal(torch.cat([p.t_starts for p in parts]), whole.t_starts)
    other = march(*rays, **options, seed=12)
    assert not torch.equal(other.t_starts[:100], whole.t_starts[:100])


def test_jitter_is_uniform():
    rays = torch.tensor([[0.0, 0.5, 0.5]]).repeat(4000, 1), torch.tensor([[1.0, 0.0, 0.0]]).repeat(4000, 1)
    samples = march(*rays, torch.zeros(4000), torch.ones(4000), occupancy=full_grid(), step=0.1, seed=0)
    first = samples.t_starts[samples.offsets[:-1]] / 0.1
    assert 0.0 <= float(first.min()) < 0.01 and 0.99 < float(first.max()) < 1.0
    assert float(first.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(first.var()) == pytest.approx(1 / 12, abs=0.005)


def test_samples_do_not_depend_on_threads():
    occupancy = random_occupancy(generator(5), 2, 16)
    rays = random_rays(generator(6), 500, occupancy, torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(march(*rays, occupancy=occupancy, step=0.01, seed=1))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert_same_samples(results[0], other)


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_no_rays_and_rays_outside_have_no_samples(backend):
    none = torch.zeros(0)
    options = {"occupancy": full_grid(), "step": 0.1, "backend": backend}
    samples = march(none.reshape(0, 3), none.reshape(0, 3), none, none, **options)
    assert len(samples) == 0 and samples.offsets.tolist() == [0]
    ray = torch.tensor([[5.0, 5.0, 5.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    samples = march(*ray, *ray_box(*ray, (0,) * 3, (1,) * 3), **options)
    assert len(samples) == 0 and samples.offsets.tolist() == [0, 0] and samples.num_rays == 1


def test_packed_cells_unpack_to_the_same_cells():
    cells = torch.rand(2, 12, 12, 12, generator=generator()) < 0.4
    assert torch.equal(Occupancy(pack_cells(cells), 12).cells(), cells)


def test_selected_samples_stay_on_their_rays():
    samples = from_edges(torch.arange(12.0).reshape(3, 4))
    assert samples.num_rays == 3 and samples.counts.tolist() == [3, 3, 3]
    kept = samples.select(torch.tensor([1, 0, 1, 0, 0, 0, 0, 1, 1]).bool())
    assert kept.offsets.tolist() == [0, 2, 2, 4]
    assert kept.t_starts.tolist() == [0, 2, 9, 10]
    assert kept.ray_indices.tolist() == [0, 0, 2, 2]


RAY = {
    "origins": torch.zeros(1, 3),
    "directions": torch.ones(1, 3),
    "near": torch.zeros(1),
    "far": torch.ones(1),
    "occupancy": full_grid(),
    "step": 0.1,
}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"directions": torch.tensor([[torch.nan, 0, 0]])}, "finite"),
        ({"far": torch.tensor([torch.inf])}, "finite"),
        ({"far": torch.ones(2)}, "near and far are"),
        ({"near": torch.zeros(1).double()}, "near and far are"),
        ({"step": 0.0}, "above zero"),
        ({"step": float("nan")}, "above zero"),
        ({"cone": -1.0}, "not below"),
        ({"max_samples": 0}, "at least 1"),
        ({"step": 1e-9}, "too many"),
    ],
)
def test_march_refuses_bad_rays_and_steps(change, message):
    with pytest.raises(ValueError, match=message):
        march(**RAY | change)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Occupancy(torch.zeros(1, 8, dtype=torch.int64), 6), "multiple of 4"),
        (lambda: Occupancy(torch.zeros(1, 9, dtype=torch.int64), 8), "int64 words"),
        (lambda: Occupancy(torch.zeros(0, 8, dtype=torch.int64), 8), "int64 words"),
        (lambda: Occupancy(torch.zeros(1, 8, dtype=torch.int64), 8, (0, 0, 0), (1, 0, 1)), "lower corner"),
        (lambda: pack_cells(torch.zeros(1, 6, 6, 6, dtype=torch.bool)), "multiple of 4"),
        (lambda: from_edges(torch.zeros(3, 1)), "two edges"),
    ],
)
def test_grids_and_edges_of_wrong_shape_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
