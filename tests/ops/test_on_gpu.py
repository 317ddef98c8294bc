"""What only a GPU can show of the CUDA kernels: streams, repeated runs, memory that is used up, large batches."""

import pytest
import torch
from cuda_helpers import on_gpu

from benchmarks.gpu import small_cases
from fields.ops.gaussian_layer import gaussian_layer
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.hash_grid import hash_grid
from fields.ops.mlp import mlp
from fields.ops.neighbours import nearest
from fields.ops.rbf_gather import rbf_gather

pytestmark = on_gpu
# Results of these cases are sums of atomic additions, which come in any order.
ATOMIC = ("grid_2d", "grid_3d_wide", "tri_plane", "vector_matrix", "grid_mlp", "grid_mlp_half", "rbf")


@pytest.mark.parametrize("name", small_cases.CASES)
def test_kernels_agree_with_their_references(name):
    case = small_cases.CASES[name]
    assert small_cases.difference(case("native", "cuda"), case("torch", "cuda")) <= small_cases.tolerance(name)


LAYOUT = GridLayout(2, levels=4, features=2, base_resolution=4, growth=1.5, table_size=1 << 8)


def on_points(name):
    """An operation on points [N, 2], with everything else fixed and on the GPU."""
    draw = small_cases.Draw("cuda")
    table, weights = draw.normal(LAYOUT.entries, 2), [draw.normal(16, 2), draw.normal(3, 16)]
    centres, layer = draw.uniform(50, 2), (draw.normal(5, 2), draw.normal(5, 2))
    return {
        "hash_grid": lambda points: hash_grid(points, table, LAYOUT, backend="native"),
        "mlp": lambda points: mlp(points, weights, backend="native"),
        "nearest": lambda points: nearest(points, centres, 4, "native"),
        "gaussian_layer": lambda points: gaussian_layer(points, *layer, backend="native"),
    }[name]


@pytest.mark.parametrize("name", ["hash_grid", "mlp", "nearest", "gaussian_layer"])
def test_kernels_run_in_the_current_stream(name):
    """The stream is busy before it writes the points: a kernel in another stream would read what was there before."""
    operation, points = on_points(name), torch.rand(1000, 2, device="cuda")
    late, expected = torch.zeros_like(points), operation(points)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)
        late.copy_(points)
        found = operation(late)
    assert not stream.query(), "the call waited for the device"
    stream.synchronize()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", small_cases.CASES)
def test_results_repeat_to_the_bit(name):
    """Those with atomic sums under torch's deterministic algorithms."""
    torch.use_deterministic_algorithms(name in ATOMIC, warn_only=True)
    try:
        case = small_cases.CASES[name]
        first, second = case("native", "cuda"), case("native", "cuda")
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_empty_batches_give_empty_results():
    layout = GridLayout(2, levels=4, features=2, base_resolution=4, growth=1.5, table_size=1 << 8)
    coords = torch.zeros(0, 2, device="cuda", requires_grad=True)
    table = torch.zeros(layout.entries, 2, device="cuda", requires_grad=True)
    weights = [torch.zeros(8, 8, device="cuda"), torch.zeros(3, 8, device="cuda", requires_grad=True)]
    assert grid_mlp(coords, table, weights, layout).shape == (0, 3)
    assert mlp(torch.zeros(0, 8, device="cuda"), weights).shape == (0, 3)
    values = hash_grid(coords, table, layout)
    by_coords, by_table = torch.autograd.grad(values.sum(), (coords, table))
    assert by_coords.shape == (0, 2) and not by_table.any()


def test_large_batches_equal_their_parts():
    """More points than a grid of blocks may have along its second axis, and more values than 2^31 bytes hold."""
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    table = torch.randn(layout.entries, 2, generator=torch.Generator().manual_seed(0)).cuda()
    coords = torch.rand((1 << 25) + 77, 2, device="cuda")
    whole = hash_grid(coords, table, layout, backend="native")
    assert whole.numel() * 4 > 1 << 31
    for part in (slice(0, 1000), slice(len(coords) // 2, len(coords) // 2 + 1000), slice(len(coords) - 1000, None)):
        assert torch.equal(whole[part], hash_grid(coords[part], table, layout, backend="native"))


def test_used_up_memory_raises_and_leaves_the_gpu_usable():
    layout = GridLayout(2, levels=16, features=8, base_resolution=16, growth=1.38, table_size=1 << 15)
    table = torch.zeros(layout.entries, 8, device="cuda")
    free, _ = torch.cuda.mem_get_info()
    points = free // (layout.outputs * 4) + (1 << 20)
    coords = torch.zeros(1, 2, device="cuda").expand(points, 2)
    with pytest.raises(torch.OutOfMemoryError):
        hash_grid(coords, table, layout, backend="native")
    del coords
    torch.cuda.empty_cache()
    assert hash_grid(torch.zeros(3, 2, device="cuda"), table, layout).shape == (3, layout.outputs)


def test_a_neighbour_out_of_range_gives_nan_and_no_wrong_access():
    neighbours = torch.tensor([[0, 1], [1, 7]], dtype=torch.int32, device="cuda")
    tensors = {
        "centres": torch.rand(3, 2, device="cuda"),
        "shapes": torch.ones(3, 1, device="cuda"),
        "features": torch.rand(3, 4, device="cuda"),
    }
    values = rbf_gather(torch.rand(2, 2, device="cuda"), neighbours, **tensors, backend="native")
    assert values[0].isfinite().all() and values[1].isnan().all()
