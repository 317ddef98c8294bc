"""CUDA MLP and Adam against the references: on a GPU if there is one, and always with kernels compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them. Their float16 products are ordinary ones, not a tensor core's.
"""

import ctypes
import re
import sys

import pytest
import torch
from cuda_helpers import C_TYPES, HOST, c_type, call_on_host, compiled_for_host, declared_functions, on_gpu, struct_body
from ops_helpers import assert_close

from fields.ops import mlp_cuda
from fields.ops.adam import AdamCall, adam_native, adam_reference
from fields.ops.mlp import CUDA_ACTIVATIONS, ActivationShape, MlpCall, MlpKernel, why_not_native_mlp

# Constants of the activations, and the gain of random weights with which their arguments are moderate.
CONSTANTS = {
    "sine": {"omega": 30.0, "first_omega": 20.0},
    "finer": {"omega": 30.0, "first_omega": 20.0},
    "finer_through": {"omega": 30.0, "first_omega": 20.0},
    "softplus": {"scale": 5.0},
    "gaussian": {"scale": 1.3},
}
GAINS = {name: 1.5 / 30.0 for name in ("sine", "finer", "finer_through")}
operation = sys.modules["fields.ops.mlp"]


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "mlp")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(operation, "_run", lambda name, call, _: mlp_cuda.run(f"fs_mlp_{name}", call, HOST))
    return "cpu"


def draw(sizes, points, biased, activation, device, seed=0):
    """Random features, parameters (matrices, then biases) and gradient of the values, float64."""
    random = torch.Generator().manual_seed(seed)
    gain = GAINS.get(activation, 1.5)
    parameters = [
        gain * torch.randn(b, a, generator=random, dtype=torch.float64) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])
    ]
    if biased:
        parameters += [0.3 * gain * torch.randn(b, generator=random, dtype=torch.float64) for b in sizes[1:]]
    features, grad = (torch.randn(points, n, generator=random, dtype=torch.float64) for n in (sizes[0], sizes[-1]))
    return features.to(device), [p.to(device) for p in parameters], grad.to(device)


def shape(activation):
    return ActivationShape(activation, **CONSTANTS.get(activation, {}))


def reference(features, parameters, grad, matrices, activation):
    """Values, and gradients of features and parameters, in float64."""
    leaves = [t.double().requires_grad_() for t in (features, *parameters)]
    values = shape(activation).reference(leaves[0], leaves[1 : matrices + 1], leaves[matrices + 1 :] or None)
    return [values.detach(), *torch.autograd.grad(values, leaves, grad.double())]


def assert_matches_reference(sizes, points, activation, biased, dtype, matmul_dtype, tolerance, device):
    features, parameters, grad = draw(sizes, points, biased, activation, device)
    kernel = MlpKernel(shape(activation), matmul_dtype, len(sizes) - 1)
    given = [t.to(dtype) for t in (features, grad, *parameters)]
    ours = [kernel.forward(given[0], given[2:]), *kernel.backward(given[0], given[2:], given[1], True)]
    for index, (a, b) in enumerate(
        zip(ours, reference(features, parameters, grad, len(sizes) - 1, activation), strict=True)
    ):
        assert a.dtype == dtype
        assert_close(a.double(), b, tolerance, f"result {index}", floor=1e-3)


SHAPES = [(32, 64, 64, 3), (3, 16, 1), (7, 33, 5, 20), (20, 9), (40, 128, 100)]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("activation", CUDA_ACTIVATIONS)
@pytest.mark.parametrize("sizes", SHAPES)
def test_mlp_and_gradients_match_reference(sizes, activation, dtype, tolerance, device):
    assert_matches_reference(sizes, 70, activation, len(sizes) != 4, dtype, "float32", tolerance, device)


@pytest.mark.parametrize("sizes", SHAPES)
def test_float16_products_are_close_to_reference(sizes, device):
    # Without activation, because rounding may move a unit to the other side of a kink.
    assert_matches_reference(sizes, 70, "none", True, torch.float32, "float16", 4e-3, device)


def test_float16_products_of_tiny_gradients_are_close_to_reference(device):
    """Gradients of 1e-9 are below the range of float16 and are scaled into it."""
    features, parameters, grad = draw((16, 32, 4), 50, False, "none", device)
    features, parameters, grad = features.float(), [t.float() for t in parameters], 1e-9 * grad.float()
    kernel = MlpKernel(ActivationShape("none"), "float16", 2)
    ours = kernel.backward(features, parameters, grad, True)
    for a, b in zip(ours, reference(features, parameters, grad, 2, "none")[1:]):
        assert_close(a.double(), b, 4e-3)


@pytest.mark.parametrize("points", (0, 1, 16, 127, 128, 129, 600))
def test_any_number_of_points_matches_reference(points, device):
    assert_matches_reference((5, 16, 3), points, "relu", True, torch.float64, "float32", 1e-12, device)


def test_blocks_with_more_than_one_tile_match_reference(device):
    """264 blocks of 16 points are fewer than the batch; layers this wide leave room for 16 points per block."""
    assert_matches_reference(
        (16, 128, 128, 128, 128, 8), 264 * 16 + 40, "relu", False, torch.float64, "float32", 1e-11, device
    )


def test_mlp_beyond_the_limits_raises(device):
    features, parameters, _ = draw((512, *[128] * 8, 128), 4, False, "sine", device)
    with pytest.raises(RuntimeError, match="the MLP failed on the GPU"):
        MlpKernel(ActivationShape("sine"), "float32", 9).forward(features, parameters)
    with pytest.raises(RuntimeError, match="the MLP failed on the GPU"):
        MlpKernel(ActivationShape("none"), "bfloat16", 1).forward(features.float(), [parameters[0].float()])


def test_gabor_is_refused(device):
    features, parameters, _ = draw((4, 32, 2), 4, False, "none", device)
    assert "single units, not gabor" in why_not_native_mlp(parameters, "gabor", "cuda")
    with pytest.raises(RuntimeError, match="the MLP failed on the GPU"):
        MlpKernel(ActivationShape("gabor"), "float32", 2).forward(features, parameters)


@pytest.mark.parametrize("sparse", (False, True))
def test_adam_matches_reference(sparse, device, monkeypatch):
    random = torch.Generator().manual_seed(0)
    states = []
    for update in (adam_native, adam_reference):
        weight, gradients = torch.ones(700), [torch.randn(700, generator=random.manual_seed(1 + i)) for i in range(3)]
        mean, square = torch.zeros(700), torch.zeros(700)
        steps = torch.zeros(700 if sparse else (), dtype=torch.int32)
        tensors = [t.to(device) for t in (weight, mean, square, steps)]
        if update is adam_native and device == "cpu":
            monkeypatch.setattr(
                sys.modules["fields.ops.adam"],
                "_run",
                lambda call, _: sys.modules["fields.ops.adam"].run_cuda(call, HOST),
            )
        for gradient in gradients:
            gradient = (gradient * (gradient.abs() > 0.5)).to(device)
            update(
                tensors[0],
                gradient,
                mean=tensors[1],
                square=tensors[2],
                steps=tensors[3],
                lr=0.01,
                betas=(0.9, 0.99),
                eps=1e-15,
                sparse=sparse,
            )
        states.append(tensors)
    for ours, exact in zip(*states):
        torch.testing.assert_close(ours, exact, rtol=1e-5, atol=1e-7)


# The ctypes declarations against the C headers.

TYPES = {**C_TYPES, "double": ctypes.c_double, "float": ctypes.c_float, "MlpRecord": operation.MlpRecord}


@pytest.mark.parametrize(
    "header, structure", [("mlp.h", operation.MlpRecord), ("mlp.h", MlpCall), ("adam.h", AdamCall)]
)
def test_structures_match_the_headers(header, structure):
    fields = []
    for line in filter(None, map(str.strip, struct_body(header, structure.__name__).split(";"))):
        kind, names = re.fullmatch(r"((?:const )?\w+[ ]?\*?)\s*(.*)", line).groups()
        for declared in names.split(","):
            pointer, declared = "*" if "*" in kind + declared else "", declared.replace("*", "").strip()
            found = re.fullmatch(r"(\w+)(?:\[(MAX_MATRICES)( \+ 1)?\])?", declared)
            base = c_type(kind.replace("*", "").strip() + pointer, TYPES)
            count = (operation.MAX_MATRICES + bool(found[3])) if found[2] else 0
            fields.append((found[1], base * count if count else base))
    assert fields == list(structure._fields_)


def test_signatures_match_the_header():
    assert declared_functions("mlp.h") == mlp_cuda.SIGNATURES
