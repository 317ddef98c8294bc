"""The fused training step of grid and MLP against the reference in plain torch with autograd."""

import os

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, inner_points, instruction_set

import cuda_ext
from fields.ops.fused_step import GridMlpStep, step_reference, why_not_fused
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.hash_grid import hash_grid, hash_grid_reference


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def draw_case(layout, width, hidden_layers, outputs, points, activation="relu", seed=0):
    """Random coords, targets, table, matrices and sample weights.

    The points keep away from cell borders, so that float32 and float64 find the same cells in coarse grids.
    """
    random = torch.Generator().manual_seed(seed)
    coords = inner_points(layout, points, random, margin=0.01, dtype=torch.float32)
    sizes = [layout.outputs, *[width] * hidden_layers, outputs]
    # Sines get arguments of about a radian, as with SIREN's initialisation; omega is 30.
    gain = 1.5 if activation != "sine" else 1.5 / 30.0
    weights = [gain * torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])]
    table = torch.randn(layout.entries, layout.features, generator=random)
    targets = torch.randn(points, outputs, generator=random)
    return coords, targets, table, weights, torch.rand(points, generator=random)


def nearest_kink(layout, case, interpolation):
    """Smallest magnitude of an input of a ReLU.

    Near zero, float32 and float64 may lie on different sides of the kink.
    """
    coords, _, table, weights, _ = case
    features, smallest = hash_grid_reference(coords.double(), table.double(), layout, interpolation), float("inf")
    for matrix in weights[:-1]:
        inputs = features @ matrix.double().T
        smallest, features = min(smallest, inputs.abs().min().item()), inputs.relu()
    return smallest


def native_and_reference(
    layout, case, interpolation="linear", loss="l2", activation="relu", sample_weights=False, exact=True
):
    """Values, loss and gradients of the native step, and of the reference (in float64 if `exact`)."""
    coords, targets, table, weights, samples = case
    samples = samples if sample_weights else None
    step = GridMlpStep(table, weights, layout, interpolation=interpolation, loss=loss, activation=activation)
    native_loss = step(coords, targets, samples)
    with torch.no_grad():
        values = grid_mlp(coords, table, weights, layout, interpolation=interpolation, activation=activation)
    native = [values, native_loss, *(t.grad.clone() for t in (table, *weights))]

    def precise(tensor):
        return tensor.double() if exact and tensor is not None else tensor

    values, loss, gradients = step_reference(
        precise(coords),
        precise(targets),
        precise(table),
        [precise(w) for w in weights],
        layout=layout,
        interpolation=interpolation,
        loss=loss,
        activation=activation,
        sample_weights=precise(samples),
    )
    reference = [values, loss, *gradients]
    return [t.double() for t in native], [t.double() for t in reference]


def assert_same_steps(native, reference, tolerance=1e-5):
    names = ["values", "loss", "grad table", *(f"grad matrix {i}" for i in range(len(native) - 3))]
    for name, ours, exact in zip(names, native, reference):
        assert_close(ours, exact, tolerance, name)


@pytest.mark.parametrize("loss", ("l1", "l2", "relative_l2"))
@pytest.mark.parametrize("activation", ("none", "relu", "sine"))
def test_every_loss_and_activation_matches_reference(loss, activation, isa):
    layout = GridLayout(2, levels=5, features=2, base_resolution=3, growth=1.5, table_size=64)
    case = draw_case(layout, 32, 2, 3, 333, activation)
    # Near zero the relative loss multiplies the rounding error of a value by up to ten.
    tolerance = 5e-5 if loss == "relative_l2" else 1e-5
    assert_same_steps(
        *native_and_reference(layout, case, loss=loss, activation=activation, sample_weights=True), tolerance
    )


@pytest.mark.parametrize("width", (5, 16, 48, 64, 81, 128))
@pytest.mark.parametrize("hidden_layers", (1, 2, 4))
@pytest.mark.parametrize("outputs", (1, 3, 8))
def test_every_network_size_matches_reference(width, hidden_layers, outputs, isa):
    layout = GridLayout(2, levels=5, features=2, base_resolution=3, growth=1.5, table_size=64)
    case = draw_case(layout, width, hidden_layers, outputs, 150)
    assert_same_steps(*native_and_reference(layout, case))


@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_every_grid_matches_reference(dimensions, features, interpolation, isa):
    layout = GridLayout(dimensions, levels=3, features=features, base_resolution=3, growth=1.5, table_size=64)
    case = draw_case(layout, 32, 2, 3, 130)
    assert_same_steps(*native_and_reference(layout, case, interpolation))


def test_hidden_layers_of_different_widths_match_reference(isa):
    layout = GridLayout(2, levels=4, features=2, base_resolution=3, growth=1.5, table_size=64)
    coords, targets, table, _, samples = draw_case(layout, 16, 1, 20, 100)
    random = torch.Generator().manual_seed(1)
    sizes = [layout.outputs, 96, 16, 48, 20]
    weights = [torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])]
    assert_same_steps(*native_and_reference(layout, (coords, targets, table, weights, samples)))


def test_step_of_the_default_configuration_matches_reference():
    """65,536 points and fine hashed levels. In float32, because a float64 position may lie in the neighbouring cell."""
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    case = draw_case(GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.0), 64, 2, 3, 65536)
    case = (case[0], case[1], torch.randn(layout.entries, 2, generator=torch.Generator().manual_seed(1)), *case[3:])
    assert_same_steps(*native_and_reference(layout, case, exact=False))


@pytest.mark.parametrize("points", (0, 1, 63, 64, 65, 4095, 4097, 9000))
def test_any_number_of_points_matches_reference(points, isa):
    layout = GridLayout(2, levels=3, features=2, base_resolution=3, growth=1.5, table_size=64)
    case = draw_case(layout, 16, 1, 2, max(points, 1))
    case = (case[0][:points], case[1][:points], *case[2:4], case[4][:points])
    native, reference = native_and_reference(layout, case, sample_weights=True)
    if points:
        assert_same_steps(native, reference)
    else:
        assert native[0].shape == (0, 2) and all(t.abs().sum() == 0 for t in native[1:])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_shapes_match_reference(data):
    dimensions = data.draw(st.integers(1, 4))
    layout = GridLayout(
        dimensions,
        levels=data.draw(st.integers(1, 5)),
        features=data.draw(st.sampled_from((1, 2, 4, 8))),
        base_resolution=data.draw(st.integers(1, 5)),
        growth=data.draw(st.floats(1.0, 1.8)),
        table_size=2 ** data.draw(st.integers(0, 8)),
        kind=data.draw(st.sampled_from(("hash", "dense", "tiled"))),
    )
    case = draw_case(
        layout,
        data.draw(st.sampled_from(range(16, 129, 16))),
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 9)),
        data.draw(st.integers(1, 300)),
        seed=data.draw(st.integers(0, 99)),
    )
    interpolation = data.draw(st.sampled_from(("linear", "smoothstep")))
    loss = data.draw(st.sampled_from(("l2", "relative_l2")))
    assume(nearest_kink(layout, case, interpolation) > 2e-5)
    native, reference = native_and_reference(layout, case, interpolation, loss)
    for ours, exact in zip(native, reference):
        assert_close(ours, exact, 1e-4, floor=1e-4)


def test_results_are_identical_for_any_number_of_threads(isa):
    layout = GridLayout(2, levels=7, features=2, base_resolution=8, growth=1.5, table_size=1 << 10)
    case = draw_case(layout, 32, 2, 3, 20000)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2, 3, 9):
            torch.set_num_threads(threads)
            coords, targets, table, weights, samples = case
            step = GridMlpStep(table, weights, layout)
            results.append([step(coords, targets), *(t.grad.clone() for t in (table, *weights))])
            # The optimizer reads the gradients from memory that the next step reuses: a second step gives the same.
            assert all(
                torch.equal(a, b)
                for a, b in zip(results[-1], [step(coords, targets), *(t.grad for t in (table, *weights))])
            )
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def test_gradient_descent_lowers_the_loss():
    """On ten thousand points of a smooth function, with the step's own gradients."""
    layout = GridLayout(2, levels=4, features=2, base_resolution=4, growth=1.5, table_size=1 << 10)
    coords, _, table, weights, _ = draw_case(layout, 32, 2, 1, 10000)
    targets = torch.sin(6 * coords[:, :1]) * coords[:, 1:]
    step = GridMlpStep(table, weights, layout)
    losses = []
    for _ in range(30):
        losses.append(step(coords, targets).item())
        for leaf in (table, *weights):
            leaf -= 0.05 * leaf.grad / leaf.grad.square().mean().sqrt().clamp_min(1e-12) * leaf.square().mean().sqrt()
    assert losses[-1] < 0.2 * losses[0]


def test_batches_need_not_be_contiguous():
    layout = GridLayout(2, levels=3, features=2, base_resolution=3, growth=1.5, table_size=64)
    coords, targets, table, weights, samples = draw_case(layout, 16, 1, 2, 200)
    plain = native_and_reference(
        layout,
        (coords[::2].contiguous(), targets[::2].contiguous(), table, weights, samples[::2].contiguous()),
        sample_weights=True,
    )[0]
    views = native_and_reference(
        layout, (coords[::2], targets.T.contiguous().T[::2], table, weights, samples[::2]), sample_weights=True
    )[0]
    assert all(torch.equal(a, b) for a, b in zip(plain, views))


def test_sines_of_large_arguments_match_float64(isa):
    layout = GridLayout(1, levels=1, features=1, base_resolution=2, growth=1.0)
    table = torch.zeros(layout.entries, 1)
    table[0], table[1] = -1.0, 1.0
    coords = torch.linspace(0, 0.5, 2000).unsqueeze(1)
    features = hash_grid(coords, table, layout, backend="native")
    weights = [torch.linspace(1, 4096, 16).unsqueeze(1), torch.eye(16)]
    values = grid_mlp(coords, table, weights, layout, activation="sine", omega=1.0)
    argument = (features * weights[0].T).double()
    torch.testing.assert_close(values.double(), torch.sin(argument), rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss": "huber"}, "l1, l2 or relative_l2"),
        ({"activation": "gelu"}, "none, relu, sine, .* or quadratic"),
        ({"weights": [torch.zeros(16, 5), torch.zeros(3, 16)]}, "matrix 0 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 32)]}, "matrix 1 must be"),
        ({"weights": [torch.zeros(513, 8), torch.zeros(3, 513)]}, "at most 512 wide"),
        ({"activation": "gabor"}, "multiple of 16 units"),
        ({"weights": [torch.zeros(8, 8)] * 10}, "at most 9 matrices"),
        ({"weights": []}, "at least one matrix"),
        ({"matmul_dtype": "int8"}, "matmul_dtype is"),
        ({"matmul_dtype": "float16"}, "not float16"),
        ({"weights": [torch.zeros(16, 8).double(), torch.zeros(3, 16).double()]}, "float32"),
        ({"weights": [torch.zeros(8, 16).T, torch.zeros(3, 16)]}, "contiguous"),
    ],
)
def test_step_refuses_bad_parameters(change, message):
    layout = GridLayout(2, levels=4, features=2, base_resolution=3, growth=1.5, table_size=64)
    arguments = {
        "table": torch.zeros(layout.entries, 2),
        "weights": [torch.zeros(16, 8), torch.zeros(3, 16)],
        "layout": layout,
        **change,
    }
    with pytest.raises(ValueError, match=message) as caught:
        GridMlpStep(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coords": torch.zeros(5, 3)}, "coords must be"),
        ({"coords": torch.zeros(5, 1, 2)}, "coords must be"),
        ({"coords": torch.zeros(5, 2).double()}, "one dtype"),
        ({"targets": torch.zeros(5, 2)}, "targets must be"),
        ({"targets": torch.zeros(4, 3)}, "targets must be"),
        ({"targets": torch.zeros(5, 3).double()}, "targets must be"),
        ({"sample_weights": torch.zeros(5, 1)}, "sample weights must be"),
    ],
)
def test_step_refuses_bad_batches(change, message):
    layout = GridLayout(2, levels=4, features=2, base_resolution=3, growth=1.5, table_size=64)
    step = GridMlpStep(torch.zeros(layout.entries, 2), [torch.zeros(16, 8), torch.zeros(3, 16)], layout)
    with pytest.raises(ValueError, match=message):
        step(**{"coords": torch.zeros(5, 2), "targets": torch.zeros(5, 3), **change})


def test_absent_library_is_the_reason_against_fusing(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELD_STUDIO_NATIVE", str(tmp_path))
    cuda_ext._open.cache_clear()
    try:
        assert "was not built" in why_not_fused(torch.zeros(8, 2), [torch.zeros(16, 8), torch.zeros(3, 16)])
    finally:
        monkeypatch.delenv("FIELD_STUDIO_NATIVE")
        cuda_ext._open.cache_clear()
        assert os.environ.get("FIELD_STUDIO_NATIVE") is None or cuda_ext.why_absent("cpu") is None
