"""CUDA radial basis functions against the references: on a GPU if there is one, and always compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them.
"""

import sys

import pytest
import torch
from cuda_helpers import HOST, call_on_host, compiled_for_host, declared_fields, declared_functions, on_gpu
from ops_helpers import assert_close
from rbf_helpers import gather_results, layer_results, moved, random_inputs, random_layer

from fields.ops import rbf_cuda
from fields.ops.gaussian_layer import GaussianCall
from fields.ops.neighbours import NearestCall, nearest
from fields.ops.rbf_gather import KERNELS, NORMALISE, RbfCall, rbf_gather


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "rbf")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    module = sys.modules
    monkeypatch.setattr(
        module["fields.ops.rbf_gather"], "_run", lambda name, call, _: rbf_cuda.rbf_gather(name, call, HOST)
    )
    monkeypatch.setattr(
        module["fields.ops.gaussian_layer"], "_run", lambda name, call, _: rbf_cuda.gaussian_layer(name, call, HOST)
    )
    monkeypatch.setattr(module["fields.ops.neighbours"], "_run", lambda call, _: rbf_cuda.nearest(call, HOST))
    return "cpu"


@pytest.fixture(params=[False, True], ids=["atomic", "ordered"])
def ordered(request):
    """Sum gradients with atomics, or in a fixed order."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(request.param)
    yield request.param
    torch.use_deterministic_algorithms(before)


def assert_gather_matches_reference(inputs, kernel, normalise, device, dtype=torch.float64, tolerance=1e-11):
    ours = gather_results(inputs, kernel, normalise, "native", dtype, device)
    reference = gather_results(inputs, kernel, normalise, "torch", torch.float64)
    for name in reference:
        assert_close(ours[name].cpu().double(), reference[name], tolerance, name, floor=1e-3)


@pytest.mark.parametrize("dimensions", (2, 3))
@pytest.mark.parametrize("kernel", KERNELS)
def test_gather_and_gradients_match_reference(kernel, dimensions, device, ordered):
    # Numbers of points, features and neighbours that fill neither blocks, warps nor the parts of the sort exactly.
    for normalise, sines, features, neighbours in (
        ("none", True, 7, 5),
        ("detached", True, 40, 8),
        ("full", False, 33, 3),
    ):
        inputs = random_inputs(37, 9, features, neighbours, dimensions, kernel, sines)
        assert_gather_matches_reference(inputs, kernel, normalise, device)


@pytest.mark.parametrize("normalise", NORMALISE)
def test_gather_in_float32_matches_reference(normalise, device, ordered):
    inputs = random_inputs(20, 12, 128, 32, 2)
    assert_gather_matches_reference(inputs, "inverse_quadratic", normalise, device, torch.float32, 5e-5)


def test_gather_of_no_points_and_with_gradients_of_features_alone(device, ordered):
    assert_gather_matches_reference(random_inputs(0, 5, 4, 2, 3), "gaussian", "full", device)
    own = moved(random_inputs(50, 9, 20, 4, 2), torch.float64, device)
    features = own["features"].requires_grad_()

    def gradient_of_features(backend):
        output = rbf_gather(
            own["coords"],
            own["neighbours"],
            centres=own["centres"],
            shapes=own["shapes"],
            features=features,
            frequencies=own["frequencies"],
            backend=backend,
        )
        return torch.autograd.grad(output.square().sum(), features)[0]

    assert_close(gradient_of_features("native"), gradient_of_features("torch"), 1e-12)


def test_gather_gives_nan_for_neighbours_out_of_range(device, monkeypatch):
    """A check would have to wait for the device. Nothing is read or written out of bounds."""
    monkeypatch.setattr(sys.modules["fields.ops.rbf_gather"], "_check", lambda *_, **__: None)
    own = moved(random_inputs(20, 9, 4, 3, 2), torch.float64, device)
    own["neighbours"][7, 1], own["neighbours"][12, 0] = 9, -1
    output = rbf_gather(
        own["coords"],
        own["neighbours"],
        centres=own["centres"],
        shapes=own["shapes"],
        features=own["features"],
        frequencies=own["frequencies"],
        backend="native",
    )
    assert output.isnan().any(-1).nonzero().flatten().tolist() == [7, 12]


@pytest.mark.parametrize("inputs, units", [(16, 64), (1, 1), (33, 70), (40, 5)])
def test_gaussian_layer_and_gradients_match_reference(inputs, units, device):
    tensors = random_layer(151, inputs, units)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
        ours = layer_results(tensors, "native", dtype, device)
        reference = layer_results(tensors, "torch", torch.float64)
        for name in reference:
            assert_close(ours[name].cpu().double(), reference[name], tolerance, name, floor=1e-6)


def test_gaussian_layer_of_no_points_has_zero_gradients(device):
    results = layer_results(random_layer(0, 4, 5), "native", torch.float32, device)
    assert not results["grad centres"].any() and not results["grad log_widths"].any()


@pytest.mark.parametrize("dimensions", (1, 2, 3))
def test_nearest_equals_reference(dimensions, device):
    random = torch.Generator().manual_seed(0)
    for centres, count in ((1, 1), (300, 8), (400, 20)):
        positions = (torch.rand(centres, dimensions, generator=random) * 20).round().to(device)
        queries = (torch.rand(130, dimensions, generator=random) * 20).to(device)
        found, expected = (nearest(queries, positions, count, backend) for backend in ("native", "torch"))
        assert torch.equal(found, expected)


# Tests that only a GPU can run.


@on_gpu
def test_ordered_gradients_repeat_bit_for_bit():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        inputs = random_inputs(1 << 16, 1000, 32, 8, 2)
        runs = [gather_results(inputs, "gaussian", "full", "native", torch.float32, "cuda") for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(runs[0][name], run[name]) for run in runs[1:] for name in run)


# The ctypes declarations against the C headers.


def test_signatures_match_the_headers():
    headers = ("rbf_gather.h", "gaussian_layer.h", "neighbours.h")
    declared = {name: types for header in headers for name, types in declared_functions(header).items()}
    assert declared == rbf_cuda.SIGNATURES


@pytest.mark.parametrize(
    "call, header", [(RbfCall, "rbf_gather.h"), (GaussianCall, "gaussian_layer.h"), (NearestCall, "neighbours.h")]
)
def test_call_structures_match_the_headers(call, header):
    assert declared_fields(header, call.__name__) == list(call._fields_)
