"""The native pass over grid and MLP against the same in plain torch with autograd."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, inner_points, instruction_set

import cuda_ext
from fields.ops.fused_step import GridMlpStep, step_reference, why_not_fused
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.hash_grid import hash_grid


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def draw_case(layout, width, hidden_layers, outputs, points, activation="relu", seed=0):
    """Coords, targets, table, matrices, sample weights. Coarse grids keep float32 from finding another cell."""
    random = torch.Generator().manual_seed(seed)
    coords = inner_points(layout, points, random, margin=0.01, dtype=torch.float32)
    sizes = [layout.outputs, *[width] * hidden_layers, outputs]
    # Sines are given inputs of a radian or so, as SIREN's initialisation does; omega is 30.
    gain = 1.5 if activation != "sine" else 1.5 / 30.0
    weights = [gain * torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])]
    table = torch.randn(layout.entries, layout.features, generator=random)
    targets = torch.randn(points, outputs, generator=random)
    return coords, targets, table, weights, torch.rand(points, generator=random)


def both(layout, case, interpolation="linear", loss="l2", activation="relu", sample_weights=False, exact=True):
    """Values, loss and gradients: native, and by the formula (in float64 if `exact`)."""
    coords, targets, table, weights, samples = case
    samples = samples if sample_weights else None
    step = GridMlpStep(table, weights, layout, interpolation, loss, activation)
    native_loss = step(coords, targets, samples)
    with torch.no_grad():
        values = grid_mlp(coords, table, weights, layout, interpolation, activation)
    native = [values, native_loss, *(t.grad.clone() for t in (table, *weights))]

    def precise(tensor):
        return tensor.double() if exact and tensor is not None else tensor

    formula = step_reference(
        precise(coords),
        precise(targets),
        precise(table),
        [precise(w) for w in weights],
        layout,
        interpolation,
        loss,
        activation,
        sample_weights=precise(samples),
    )
    formula = [formula[0], formula[1], *formula[2]]
    return [t.double() for t in native], [t.double() for t in formula]


def assert_equal_steps(native, formula, tolerance=1e-5):
    names = ["values", "loss", "grad table", *(f"grad matrix {i}" for i in range(len(native) - 3))]
    for name, ours, exact in zip(names, native, formula):
        assert_close(ours, exact, tolerance, name)


@pytest.mark.parametrize("loss", ("l1", "l2", "relative_l2"))
@pytest.mark.parametrize("activation", ("none", "relu", "sine"))
def test_losses_and_activations(loss, activation, isa):
    layout = GridLayout(2, 5, 2, 3, 1.5, 64)
    case = draw_case(layout, 32, 2, 3, 333, activation)
    # Near zero the relative loss makes rounding errors of a value up to ten times as large.
    tolerance = 5e-5 if loss == "relative_l2" else 1e-5
    assert_equal_steps(*both(layout, case, loss=loss, activation=activation, sample_weights=True), tolerance)


@pytest.mark.parametrize("width", (5, 16, 48, 64, 81, 128))
@pytest.mark.parametrize("hidden_layers", (1, 2, 4))
@pytest.mark.parametrize("outputs", (1, 3, 8))
def test_sizes(width, hidden_layers, outputs, isa):
    layout = GridLayout(2, 5, 2, 3, 1.5, 64)
    case = draw_case(layout, width, hidden_layers, outputs, 150)
    assert_equal_steps(*both(layout, case))


@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_grids(dimensions, features, interpolation, isa):
    layout = GridLayout(dimensions, 3, features, 3, 1.5, 64)
    case = draw_case(layout, 32, 2, 3, 130)
    assert_equal_steps(*both(layout, case, interpolation))


def test_hidden_layers_may_differ(isa):
    layout = GridLayout(2, 4, 2, 3, 1.5, 64)
    coords, targets, table, _, samples = draw_case(layout, 16, 1, 20, 100)
    random = torch.Generator().manual_seed(1)
    sizes = [layout.outputs, 96, 16, 48, 20]
    weights = [torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])]
    assert_equal_steps(*both(layout, (coords, targets, table, weights, samples)))


def test_a_step_of_the_default_recipe():
    """65,536 points, fine hashed levels; against float32, as a float64 position may lie in the neighbouring cell."""
    layout = GridLayout(2, 16, 2, 16, 1.38, 1 << 15)
    case = draw_case(GridLayout(2, 16, 2, 16, 1.0), 64, 2, 3, 65536)
    case = (case[0], case[1], torch.randn(layout.entries, 2, generator=torch.Generator().manual_seed(1)), *case[3:])
    assert_equal_steps(*both(layout, case, exact=False))


@pytest.mark.parametrize("points", (0, 1, 63, 64, 65, 4095, 4097, 9000))
def test_any_number_of_points(points, isa):
    layout = GridLayout(2, 3, 2, 3, 1.5, 64)
    case = draw_case(layout, 16, 1, 2, max(points, 1))
    case = (case[0][:points], case[1][:points], *case[2:4], case[4][:points])
    native, formula = both(layout, case, sample_weights=True)
    if points:
        assert_equal_steps(native, formula)
    else:
        assert native[0].shape == (0, 2) and all(t.abs().sum() == 0 for t in native[1:])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_shape(data):
    dimensions = data.draw(st.integers(1, 4))
    layout = GridLayout(
        dimensions,
        data.draw(st.integers(1, 5)),
        data.draw(st.sampled_from((1, 2, 4, 8))),
        data.draw(st.integers(1, 5)),
        data.draw(st.floats(1.0, 1.8)),
        2 ** data.draw(st.integers(0, 8)),
        data.draw(st.sampled_from(("hash", "dense", "tiled"))),
    )
    case = draw_case(
        layout,
        data.draw(st.sampled_from(range(16, 129, 16))),
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 9)),
        data.draw(st.integers(1, 300)),
        seed=data.draw(st.integers(0, 99)),
    )
    native, formula = both(
        layout,
        case,
        data.draw(st.sampled_from(("linear", "smoothstep"))),
        data.draw(st.sampled_from(("l2", "relative_l2"))),
    )
    for ours, exact in zip(native, formula):
        assert_close(ours, exact, 1e-4, floor=1e-4)


def test_same_bits_for_any_number_of_threads(isa):
    layout = GridLayout(2, 7, 2, 8, 1.5, 1 << 10)
    case = draw_case(layout, 32, 2, 3, 20000)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2, 3, 9):
            torch.set_num_threads(threads)
            coords, targets, table, weights, samples = case
            step = GridMlpStep(table, weights, layout)
            results.append([step(coords, targets), *(t.grad.clone() for t in (table, *weights))])
            # The memory is the optimiser's to read, and reused: a second step gives the same again.
            assert all(
                torch.equal(a, b)
                for a, b in zip(results[-1], [step(coords, targets), *(t.grad for t in (table, *weights))])
            )
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def test_descends():
    """Ten thousand points of a smooth function: plain gradient descent on the step's own gradients lowers the loss."""
    layout = GridLayout(2, 4, 2, 4, 1.5, 1 << 10)
    coords, _, table, weights, _ = draw_case(layout, 32, 2, 1, 10000)
    targets = torch.sin(6 * coords[:, :1]) * coords[:, 1:]
    step = GridMlpStep(table, weights, layout)
    losses = []
    for _ in range(30):
        losses.append(step(coords, targets).item())
        for leaf in (table, *weights):
            leaf -= 0.05 * leaf.grad / leaf.grad.square().mean().sqrt().clamp_min(1e-12) * leaf.square().mean().sqrt()
    assert losses[-1] < 0.2 * losses[0]


def test_non_contiguous_batches():
    layout = GridLayout(2, 3, 2, 3, 1.5, 64)
    coords, targets, table, weights, samples = draw_case(layout, 16, 1, 2, 200)
    plain = both(
        layout,
        (coords[::2].contiguous(), targets[::2].contiguous(), table, weights, samples[::2].contiguous()),
        sample_weights=True,
    )[0]
    views = both(
        layout, (coords[::2], targets.T.contiguous().T[::2], table, weights, samples[::2]), sample_weights=True
    )[0]
    assert all(torch.equal(a, b) for a, b in zip(plain, views))


def test_sines_of_large_arguments(isa):
    """The sine of the kernel far from zero, against float64."""
    layout = GridLayout(1, 1, 1, 2, 1.0)
    table = torch.zeros(layout.entries, 1)
    table[0], table[1] = -1.0, 1.0
    coords = torch.linspace(0, 0.5, 2000).unsqueeze(1)
    features = hash_grid(coords, table, layout, backend="native")
    weights = [torch.linspace(1, 4096, 16).unsqueeze(1), torch.eye(16)]
    values = grid_mlp(coords, table, weights, layout, activation="sine", omega=1.0)
    argument = (features * weights[0].T).double()
    torch.testing.assert_close(values.double(), torch.sin(argument), rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"loss": "huber"}, "l1, l2 or relative_l2"),
        ({"activation": "gelu"}, "none, relu or sine"),
        ({"weights": [torch.zeros(16, 5), torch.zeros(3, 16)]}, "matrix 0 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 32)]}, "matrix 1 must be"),
        ({"weights": [torch.zeros(129, 8), torch.zeros(3, 129)]}, "at most 128 wide"),
        ({"weights": [torch.zeros(8, 8)] * 10}, "at most 9 matrices"),
        ({"weights": []}, "at least one matrix"),
        ({"products": "int8"}, "products are"),
        ({"products": "float16"}, "not float16"),
        ({"weights": [torch.zeros(16, 8).double(), torch.zeros(3, 16).double()]}, "float32"),
        ({"weights": [torch.zeros(8, 16).T, torch.zeros(3, 16)]}, "contiguous"),
    ],
)
def test_what_a_step_refuses(change, says):
    layout = GridLayout(2, 4, 2, 3, 1.5, 64)
    arguments = {
        "table": torch.zeros(layout.entries, 2),
        "weights": [torch.zeros(16, 8), torch.zeros(3, 16)],
        "layout": layout,
        **change,
    }
    with pytest.raises(ValueError, match=says) as caught:
        GridMlpStep(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, says",
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
def test_what_a_batch_may_not_be(change, says):
    layout = GridLayout(2, 4, 2, 3, 1.5, 64)
    step = GridMlpStep(torch.zeros(layout.entries, 2), [torch.zeros(16, 8), torch.zeros(3, 16)], layout)
    with pytest.raises(ValueError, match=says):
        step(**{"coords": torch.zeros(5, 2), "targets": torch.zeros(5, 3), **change})


def test_absence_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELD_STUDIO_NATIVE", str(tmp_path))
    cuda_ext._open.cache_clear()
    try:
        assert "was not built" in why_not_fused(torch.zeros(8, 2), [torch.zeros(16, 8), torch.zeros(3, 16)])
    finally:
        monkeypatch.delenv("FIELD_STUDIO_NATIVE")
        cuda_ext._open.cache_clear()
        assert os.environ.get("FIELD_STUDIO_NATIVE") is None or cuda_ext.why_absent("cpu") is None
