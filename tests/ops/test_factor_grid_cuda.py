"""The CUDA sums of products of grids against the formula: on a GPU where there is one, and their kernels compiled for the CPU
anywhere, which shows whether they compute and co-operate as they should, not that a GPU runs them (`cuda_on_host`)."""

import re
import sys

import pytest
import torch
from cuda_helpers import CSRC, HOST, call_on_host, compiled_for_host, declared_fields, declared_functions, on_gpu
from factor_helpers import LAYOUTS, all_orders, inner_points, uniform
from ops_helpers import assert_close

from fields.ops import factor_grid_cuda
from fields.ops.factor_grid import FactorCall, factor_grid
from fields.ops.factor_layout import dense_grids, tri_plane

operation = sys.modules["fields.ops.factor_grid"]


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "factor_grid", "-DFS_VECTOR_ATOMICS", "-DFS_PAIRS_SORTED_AT_ONCE=1024")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Where the tensors live. On the CPU, calls go to the kernels that were compiled for it."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(operation, "_run", lambda name, call, _: factor_grid_cuda.run(name, call, HOST))
    return "cpu"


@pytest.fixture
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def assert_equals_the_formula(layout, coords, dtype=torch.float64, tolerance=1e-12):
    ours = all_orders(layout, "native", dtype, coords)
    formula = all_orders(layout, "torch", torch.float64, coords.double())
    for order in formula:
        assert_close(ours[order].double(), formula[order], tolerance, order)


@pytest.mark.parametrize("name", LAYOUTS)
def test_equals_the_formula(name, device):
    layout = LAYOUTS[name]
    assert_equals_the_formula(layout, uniform(100, layout.dimensions, lower=-0.1, upper=1.1).to(device))


@pytest.mark.parametrize("name", ["sum", "concat", "vm", "cp-4", "kplanes-3", "dense-4", "mixed"])
def test_in_order_equals_the_formula(name, device, deterministic):
    layout = LAYOUTS[name]
    assert_equals_the_formula(layout, uniform(100, layout.dimensions, lower=-0.1, upper=1.1).to(device))


@pytest.mark.parametrize("name", ["sum", "concat", "cp-4", "kplanes-3", "dense-2"])
def test_float32_against_float64(name, device):
    layout = LAYOUTS[name]
    assert_equals_the_formula(layout, inner_points(layout, 60).float().to(device), torch.float32, 2e-5)


@pytest.mark.parametrize("name", ["sum", "vm", "kplanes-3"])
def test_gradcheck(name, device):
    layout = LAYOUTS[name]
    coords = inner_points(layout, 4).to(device).requires_grad_()
    table = torch.randn(layout.entries, layout.features, dtype=torch.float64).to(device).requires_grad_()

    def function(coords, table):
        return factor_grid(coords, table, layout, "native")

    # Atomic sums differ in their last bits from run to run.
    assert torch.autograd.gradcheck(function, (coords, table), nondet_tol=1e-12, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (coords, table), nondet_tol=1e-12, fast_mode=True)


def test_rows_that_vectors_do_not_fit(device):
    """Tables that begin anywhere: rows are then moved number by number."""
    layout = tri_plane(4, (3, 4, 5))
    numbers = torch.randn(1 + layout.parameters, device=device)
    table = numbers[1:].view(layout.entries, 4)
    coords = uniform(50, 3).float().to(device)
    assert_close(factor_grid(coords, table, layout, "native"), factor_grid(coords, table, layout, "torch"), 1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0, 3), (3,), (2, 3, 4, 3)])
def test_shapes(shape, device):
    layout = LAYOUTS["vm"]
    coords = torch.rand(shape, device=device, requires_grad=True)
    table = torch.randn(layout.entries, layout.features, device=device, requires_grad=True)
    features = factor_grid(coords, table, layout, "native")
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape
    assert bool(table.grad.abs().sum() > 0) == bool(coords.numel())


def test_too_many_factors_are_refused(device):
    layout = dense_grids(1, [(n,) for n in range(2, 60)])
    table = torch.zeros(layout.entries, 1, device=device)
    with pytest.raises(ValueError, match="at most 40 factors .* not 58 and 58; use backend='torch'"):
        factor_grid(torch.rand(5, 1, device=device), table, layout, "native")


@on_gpu
def test_many_points_repeat_bit_for_bit(deterministic):
    layout = tri_plane(16, (128, 128, 128))
    coords = uniform((1 << 18) + 7, 3).float().cuda()
    table = torch.randn(layout.entries, 16).cuda().requires_grad_()
    grad = torch.randn(len(coords), 16).cuda()
    first, *others = (
        torch.autograd.grad(factor_grid(coords, table, layout, "native"), table, grad)[0] for _ in range(3)
    )
    assert all(torch.equal(first, other) for other in others)
    (formula,) = torch.autograd.grad(
        factor_grid(coords.double(), table.double(), layout, "torch"), table, grad.double()
    )
    assert_close(first.double(), formula.double(), 1e-4)


# Python's picture of the C functions.


def test_signatures_are_those_of_the_header():
    assert declared_functions("factor_grid.h") == factor_grid_cuda.SIGNATURES
    limits = re.findall(r"constexpr int (MOST_\w+) = (\d+);", (CSRC / "cuda" / "factor_grid.h").read_text())
    assert {name: int(value) for name, value in limits} == {
        name: getattr(factor_grid_cuda, name) for name, _ in limits
    } and limits


def test_the_call_is_that_of_the_header():
    assert declared_fields("factors.h", "FactorCall") == list(FactorCall._fields_)
