"""The fused training step of a network on coordinates against the reference in plain torch with autograd."""

import ctypes
import re
import threading

import psutil
import pytest
import torch
from cuda_helpers import C_TYPES, CSRC, c_type
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, instruction_set

from fields.ops.mlp import ACTIVATIONS, GABOR_UNITS, ActivationShape, MlpRecord, why_not_matmul_dtype
from fields.ops.network_step import (
    ENCODINGS,
    InputEncoding,
    NetworkStep,
    NetworkStepCall,
    network_step_reference,
    why_not_network_step,
)

# Constants of each activation, and the gain of random weights with which its arguments are moderate.
SHAPES = {
    "sine": ActivationShape("sine", omega=30.0, first_omega=20.0),
    "finer": ActivationShape("finer", omega=30.0, first_omega=20.0),
    "finer_through": ActivationShape("finer_through", omega=30.0, first_omega=20.0),
    "softplus": ActivationShape("softplus", scale=5.0),
    "gaussian": ActivationShape("gaussian", scale=1.3),
    "gabor": ActivationShape("gabor", omega=4.0, first_omega=3.0, scale=2.0),
}
GAINS = {"sine": 1.5 / 30.0, "finer": 1.5 / 30.0, "finer_through": 1.5 / 30.0, "gabor": 0.5, "quadratic": 0.8}
needs_bfloat16 = pytest.mark.skipif(
    why_not_matmul_dtype("bfloat16") is not None, reason=f"{why_not_matmul_dtype('bfloat16')}"
)


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def encoding_of(kind, dimensions, frequencies=5, seed=0):
    if kind == "coords":
        return InputEncoding()
    matrix = 3.0 * torch.randn(frequencies, dimensions, generator=torch.Generator().manual_seed(seed))
    return InputEncoding("octaves", matrix=matrix) if kind == "octaves" else InputEncoding("fourier", 1.0, 0.0, matrix)


def draw_case(encoding, dimensions, width, hidden_layers, outputs, points, activation="sine", biased=True, seed=0):
    """Random batch and network: a dict of the arguments that the step and its reference share, and the batch."""
    random = torch.Generator().manual_seed(seed)
    if activation == "gabor":
        width = -(-width // (2 * GABOR_UNITS)) * 2 * GABOR_UNITS
    sizes = [encoding.outputs(dimensions), *[width] * hidden_layers, outputs]
    gain = GAINS.get(activation, 1.5)
    parts = 3 if activation == "quadratic" else 1
    rows = [*(parts * b for b in sizes[1:-1]), sizes[-1]]
    weights = [gain * torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes, rows)]
    biases = [0.3 * gain * torch.randn(b, generator=random) for b in rows] if biased else None
    batch = (
        torch.rand(points, dimensions, generator=random),
        torch.randn(points, outputs, generator=random),
        torch.rand(points, generator=random),
    )
    shape = SHAPES.get(activation, ActivationShape(activation))
    return {"weights": weights, "biases": biases, "encoding": encoding, "activation": shape}, batch


def native(network, batch, dimensions, **options):
    """Loss and gradients of the native step."""
    step = NetworkStep(**network, dimensions=dimensions, **options)
    loss = step(*batch)
    return [loss, *(p.grad.clone() for p in (*network["weights"], *(network["biases"] or ())))]


def reference(network, batch, **options):
    """The same in plain torch, in float64."""
    doubles = {key: value and [t.double() for t in value] for key, value in list(network.items())[:2]}
    samples = batch[2].double() if len(batch) > 2 else None
    loss, gradients = network_step_reference(
        batch[0].double(), batch[1].double(), **{**network, **doubles}, sample_weights=samples, **options
    )
    return [loss, *gradients]


def assert_matches_reference(network, batch, dimensions, tolerance, **options):
    ours, exact = native(network, batch, dimensions, **options), reference(network, batch, **options)
    for index, (a, b) in enumerate(zip(ours, exact, strict=True)):
        assert_close(a.double(), b, tolerance, f"result {index}", floor=1e-4)


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_encoding_matches_reference(activation, kind, isa):
    network, batch = draw_case(encoding_of(kind, 2), 2, 40, 2, 3, 150, activation)
    assert_matches_reference(network, batch, 2, 2e-5, value_scale=0.5, value_offset=0.5)


@pytest.mark.parametrize("loss", ("l1", "l2", "relative_l2"))
def test_every_loss_matches_reference(loss, isa):
    network, batch = draw_case(encoding_of("coords", 2), 2, 32, 2, 3, 333)
    # Near zero the relative loss multiplies the rounding error of a value by up to ten.
    tolerance = 1e-4 if loss == "relative_l2" else 2e-5
    assert_matches_reference(network, batch, 2, tolerance, loss=loss, value_scale=2.0, value_offset=-0.3)
    assert_matches_reference(network, batch[:2], 2, tolerance, loss=loss)


@pytest.mark.parametrize("points", (0, 1, 63, 64, 65, 1025, 20000))
def test_any_number_of_points_matches_reference(points):
    network, batch = draw_case(encoding_of("octaves", 3), 3, 20, 2, 2, points)
    if points:
        assert_matches_reference(network, batch, 3, 2e-5)
    else:
        assert all(t.abs().sum() == 0 for t in native(network, batch, 3))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_shapes_match_reference(data):
    dimensions = data.draw(st.integers(1, 4))
    encoding = encoding_of(data.draw(st.sampled_from(ENCODINGS)), dimensions, data.draw(st.integers(1, 40)))
    network, batch = draw_case(
        encoding,
        dimensions,
        data.draw(st.integers(1, 300)),
        data.draw(st.integers(0, 3)),
        data.draw(st.integers(1, 9)),
        data.draw(st.integers(1, 200)),
        # ReLU has a kink, on different sides of which float32 and float64 may lie.
        data.draw(st.sampled_from([a for a in ACTIVATIONS if a not in ("relu", "quadratic")])),
        data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 99)),
    )
    assert_matches_reference(network, batch, dimensions, 2e-4)


@pytest.mark.parametrize("sigmoid", (False, True))
@pytest.mark.parametrize("standardize", (False, True))
@pytest.mark.parametrize("kind, points", [("octaves", 150), ("fourier", 2050)])
def test_modulated_networks_match_reference(kind, points, standardize, sigmoid, isa):
    network, batch = draw_case(encoding_of(kind, 2), 2, 40, 3, 3, points, "relu", seed=3)
    network["activation"] = ActivationShape("relu", standardize=standardize)
    modulation = 0.5 + torch.rand(points, 6, generator=torch.Generator().manual_seed(5))
    options = {"sigmoid": sigmoid, "value_scale": 2.0, "value_offset": -0.3}
    step = NetworkStep(**network, dimensions=2, modulated=True, **options)
    loss = step(*batch, modulation=modulation)
    ours = [loss, *step.grads, step.grad_modulation]
    exact = reference(network, batch, modulation=modulation.double(), **options)
    for index, (a, b) in enumerate(zip(ours, exact, strict=True)):
        assert_close(a.double(), b, 1e-4, f"result {index}", floor=1e-4)


def test_skip_connections_match_reference(isa):
    encoding = encoding_of("octaves", 3)
    network, batch = draw_case(encoding, 3, 40, 4, 3, 700, "relu")
    network["activation"] = ActivationShape("relu", skip=2)
    random = torch.Generator().manual_seed(7)
    network["weights"][2] = torch.randn(40, 40 + encoding.outputs(3), generator=random) / 9.0
    assert_matches_reference(network, batch, 3, 1e-4)


def test_a_modulation_is_given_if_and_only_if_the_network_is_modulated():
    network, batch = draw_case(InputEncoding(), 2, 16, 2, 3, 9, "relu")
    with pytest.raises(ValueError, match="if and only if"):
        NetworkStep(**network, dimensions=2)(*batch, modulation=torch.zeros(9, 4))
    step = NetworkStep(**network, dimensions=2, modulated=True)
    with pytest.raises(ValueError, match="if and only if"):
        step(*batch)
    with pytest.raises(ValueError, match=r"modulation must be \[9, 4\]"):
        step(*batch, modulation=torch.zeros(9, 2))
    with pytest.raises(ValueError, match="must be float32"):
        step(*batch, modulation=torch.zeros(9, 4).double())


@pytest.mark.parametrize("activation", ("sine", "gabor"))
def test_results_are_identical_for_any_number_of_threads(activation, isa):
    network, batch = draw_case(encoding_of("fourier", 2), 2, 40, 2, 3, 5000, activation)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            results.append(native(network, batch, 2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_batches_need_not_be_contiguous():
    network, batch = draw_case(encoding_of("coords", 2), 2, 16, 2, 3, 200)
    plain = native(network, tuple(t[::2].contiguous() for t in batch), 2)
    views = native(network, (batch[0][::2], batch[1].T.contiguous().T[::2], batch[2][::2]), 2)
    assert all(torch.equal(a, b) for a, b in zip(plain, views))


def test_gradients_go_to_the_parameters_themselves():
    network, batch = draw_case(encoding_of("coords", 2), 2, 32, 2, 1, 500)
    step = NetworkStep(**network, dimensions=2)
    first = step(*batch)
    with torch.no_grad():
        for parameter in (*network["weights"], *network["biases"]):
            parameter -= 1e-4 * parameter.grad
    assert step(*batch) < first


@needs_bfloat16
@pytest.mark.parametrize("activation", ("sine", "relu", "gabor"))
def test_bfloat16_products_are_close_to_reference(activation):
    network, batch = draw_case(encoding_of("fourier", 2), 2, 48, 2, 3, 500, activation)
    ours, exact = native(network, batch, 2, matmul_dtype="bfloat16"), reference(network, batch)
    for a, b in zip(ours, exact, strict=True):
        assert ((a.double() - b).norm() <= 0.05 * b.norm()).item()


@needs_bfloat16
@pytest.mark.parametrize("activation, tolerance", [("sine", 0.02), ("gabor", 0.02), ("relu", 0.1)])
def test_bfloat16_leaves_coordinates_and_the_first_layer_in_float32(activation, tolerance):
    """Coordinates that differ by less than bfloat16 can tell: with rounded ones all values would be the same."""
    network, _ = draw_case(encoding_of("coords", 2), 2, 48, 1, 3, 1, activation)
    coords = 0.7 + 1e-3 * torch.rand(400, 2, generator=torch.Generator().manual_seed(1))
    network["weights"][0] *= 400.0
    batch = coords, torch.zeros(400, 3)
    ours, exact = native(network, batch, 2, matmul_dtype="bfloat16"), reference(network, batch)
    for a, b in zip(ours, exact, strict=True):
        assert ((a.double() - b).norm() <= tolerance * b.norm()).item()
    alone, _ = draw_case(encoding_of("octaves", 2), 2, 1, 0, 3, 1)
    assert all(map(torch.equal, native(alone, batch, 2, matmul_dtype="bfloat16"), native(alone, batch, 2)))


@pytest.mark.parametrize("points", (100, 512, 1500, 9000))
def test_small_batches_are_cut_for_several_threads_and_sum_in_order(points):
    network, batch = draw_case(encoding_of("fourier", 2), 2, 40, 2, 3, points)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(native(network, batch, 2))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *results))


def test_memory_of_a_step_does_not_depend_on_the_batch():
    """Activations of one layer of these 300,000 points would be 150 MB."""
    network, (coords, targets, samples) = draw_case(encoding_of("coords", 2), 2, 128, 3, 3, 300_000)
    step = NetworkStep(**network, dimensions=2)
    step(coords[:16_384], targets[:16_384], samples[:16_384])

    def resident():
        return psutil.Process().memory_info().rss / 1e6

    before, peak, done = resident(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.001):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    step(coords, targets, samples)
    done.set()
    watcher.join()
    assert peak[0] - before < 10.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss": "huber"}, "l1, l2 or relative_l2"),
        ({"activation": ActivationShape("gelu")}, "none, relu, sine, .* or quadratic"),
        ({"activation": ActivationShape("gabor")}, "multiple of 16 units"),
        ({"encoding": InputEncoding("sphere")}, "coords, octaves or fourier"),
        ({"encoding": InputEncoding("fourier")}, "need a matrix"),
        ({"encoding": InputEncoding(matrix=torch.zeros(3, 2))}, "coords take none"),
        ({"encoding": InputEncoding("fourier", matrix=torch.zeros(1, 3))}, r"must be \[frequencies, 2\]"),
        ({"encoding": InputEncoding("fourier", matrix=torch.zeros(1, 2).double())}, "contiguous float32"),
        ({"encoding": InputEncoding("fourier", matrix=torch.zeros(2, 2))}, "matrix 0 must be"),
        ({"encoding": InputEncoding("fourier", matrix=torch.full((1, 2), 1e4))}, "phases above 10000"),
        ({"dimensions": 5, "weights": [torch.zeros(16, 5), torch.zeros(3, 16)]}, "at most 4 axes"),
        ({"weights": []}, "at least one matrix"),
        ({"weights": [torch.zeros(16, 2), torch.zeros(3, 32)]}, "matrix 1 must be"),
        ({"weights": [torch.zeros(513, 2), torch.zeros(3, 513)]}, "at most 512 wide"),
        ({"weights": [torch.zeros(2, 2)] * 10}, "at most 9 matrices"),
        ({"weights": [torch.zeros(16, 2).double(), torch.zeros(3, 16).double()]}, "float32"),
        ({"weights": [torch.zeros(2, 16).T, torch.zeros(3, 16)]}, "contiguous"),
        ({"biases": [torch.zeros(16)]}, "a bias for each"),
        ({"biases": [torch.zeros(16).double(), torch.zeros(3).double()]}, "float32"),
        ({"matmul_dtype": "int8"}, "matmul_dtype is"),
        ({"matmul_dtype": "float16"}, "not float16"),
    ],
)
def test_step_refuses_bad_networks(change, message):
    arguments = {
        "weights": [torch.zeros(16, 2), torch.zeros(3, 16)],
        "biases": None,
        "encoding": InputEncoding(),
        "dimensions": 2,
        "activation": ActivationShape("sine"),
        **change,
    }
    with pytest.raises(ValueError, match=message) as caught:
        NetworkStep(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coords": torch.zeros(5, 3)}, "coords must be"),
        ({"coords": torch.zeros(5, 1, 2)}, "coords must be"),
        ({"coords": torch.zeros(5, 2).double()}, "coords must be float32"),
        ({"targets": torch.zeros(5, 2)}, "targets must be"),
        ({"targets": torch.zeros(4, 3)}, "targets must be"),
        ({"targets": torch.zeros(5, 3).double()}, "targets must be"),
        ({"sample_weights": torch.zeros(5, 1)}, "sample weights must be"),
    ],
)
def test_step_refuses_bad_batches(change, message):
    network, _ = draw_case(InputEncoding(), 2, 16, 1, 3, 5)
    step = NetworkStep(**network, dimensions=2)
    with pytest.raises(ValueError, match=message):
        step(**{"coords": torch.zeros(5, 2), "targets": torch.zeros(5, 3), **change})


def test_absent_library_is_the_reason_against_the_step(monkeypatch):
    monkeypatch.setattr("cuda_ext.why_absent", lambda device: "it was not built")
    assert why_not_network_step([torch.zeros(3, 2)], InputEncoding(), 2, ActivationShape()) == "it was not built"


def test_structure_matches_the_header():
    text = re.sub(r"//.*", "", (CSRC / "cpu" / "network_step.h").read_text())
    body = re.search(r"struct NetworkStepCall \{(.*?)\n\};", text, re.S)[1]
    types = {**C_TYPES, "double": ctypes.c_double, "MlpRecord": MlpRecord}
    fields = []
    for line in filter(None, (" ".join(part.split()) for part in body.split(";"))):
        kind, names = re.fullmatch(r"((?:const )?\w+(?: ?\*)?)\s*(.*)", line).groups()
        fields += [(name.strip(), c_type(kind, types)) for name in names.split(",")]
    assert fields == list(NetworkStepCall._fields_)
