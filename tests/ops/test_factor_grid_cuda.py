"""CUDA factored grids against the reference: on a GPU if there is one, and always with kernels compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them.
"""

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
    return compiled_for_host(tmp_path_factory, "factor_grid")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
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


def assert_matches_reference(layout, coords, dtype=torch.float64, tolerance=1e-12):
    ours = all_orders(layout, "native", dtype, coords)
    reference = all_orders(layout, "torch", torch.float64, coords.double())
    for order in reference:
        assert_close(ours[order].double(), reference[order], tolerance, order)


@pytest.mark.parametrize("name", LAYOUTS)
def test_factor_grid_and_gradients_match_reference(name, device):
    layout = LAYOUTS[name]
    assert_matches_reference(layout, uniform(100, layout.dimensions, lower=-0.1, upper=1.1).to(device))


@pytest.mark.parametrize("name", ["sum", "concat", "vm", "cp-4", "kplanes-3", "dense-4", "mixed"])
def test_deterministic_gradients_match_reference(name, device, deterministic):
    layout = LAYOUTS[name]
    assert_matches_reference(layout, uniform(100, layout.dimensions, lower=-0.1, upper=1.1).to(device))


@pytest.mark.parametrize("name", ["sum", "concat", "cp-4", "kplanes-3", "dense-2"])
def test_float32_matches_float64_reference(name, device):
    layout = LAYOUTS[name]
    assert_matches_reference(layout, inner_points(layout, 60).float().to(device), torch.float32, 2e-5)


@pytest.mark.parametrize("name", ["sum", "vm", "kplanes-3"])
def test_gradients_of_both_orders_match_differences(name, device):
    layout = LAYOUTS[name]
    coords = inner_points(layout, 4).to(device).requires_grad_()
    table = torch.randn(layout.entries, layout.features, dtype=torch.float64).to(device).requires_grad_()

    def function(coords, table):
        return factor_grid(coords, table, layout, "native")

    # Atomic sums differ in their last bits from run to run.
    assert torch.autograd.gradcheck(function, (coords, table), nondet_tol=1e-12, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (coords, table), nondet_tol=1e-12, fast_mode=True)


def test_unaligned_table_matches_reference(device):
    """A table that is not aligned for vector loads is read value by value."""
    layout = tri_plane(4, (3, 4, 5))
    values = torch.randn(1 + layout.num_parameters, device=device)
    table = values[1:].view(layout.entries, 4)
    coords = uniform(50, 3).float().to(device)
    assert_close(factor_grid(coords, table, layout, "native"), factor_grid(coords, table, layout, "torch"), 1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0, 3), (3,), (2, 3, 4, 3)])
def test_leading_shape_is_kept_and_may_be_empty(shape, device):
    layout = LAYOUTS["vm"]
    coords = torch.rand(shape, device=device, requires_grad=True)
    table = torch.randn(layout.entries, layout.features, device=device, requires_grad=True)
    features = factor_grid(coords, table, layout, "native")
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape
    assert bool(table.grad.abs().sum() > 0) == bool(coords.numel())


def test_refuses_too_many_factors(device):
    layout = dense_grids(1, [(n,) for n in range(2, 60)])
    table = torch.zeros(layout.entries, 1, device=device)
    with pytest.raises(ValueError, match="at most 40 factors .* not 58 and 58; use backend='torch'"):
        factor_grid(torch.rand(5, 1, device=device), table, layout, "native")


@on_gpu
def test_deterministic_gradients_of_many_points_repeat_bit_for_bit(deterministic):
    layout = tri_plane(16, (128, 128, 128))
    coords = uniform((1 << 18) + 7, 3).float().cuda()
    table = torch.randn(layout.entries, 16).cuda().requires_grad_()
    grad = torch.randn(len(coords), 16).cuda()
    first, *others = (
        torch.autograd.grad(factor_grid(coords, table, layout, "native"), table, grad)[0] for _ in range(3)
    )
    assert all(torch.equal(first, other) for other in others)
    (reference,) = torch.autograd.grad(
        factor_grid(coords.double(), table.double(), layout, "torch"), table, grad.double()
    )
    assert_close(first.double(), reference.double(), 1e-4)


# The ctypes declarations against the C headers.


def test_signatures_and_limits_match_the_header():
    assert declared_functions("factor_grid.h") == factor_grid_cuda.SIGNATURES
    header = (CSRC / "cuda" / "factor_grid.h").read_text()
    limits = {name: int(value) for name, value in re.findall(r"constexpr int (MAX_\w+) = (\d+);", header)}
    assert limits == {name: getattr(factor_grid_cuda, name) for name in ("MAX_GRID_AXES", "MAX_FACTORS")}


def test_call_structure_matches_the_header():
    assert declared_fields("factor_grid.h", "FactorCall") == list(FactorCall._fields_)
