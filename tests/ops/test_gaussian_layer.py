"""Layer of Gaussian units: native against the reference, gradients against differences, and refused inputs."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, instruction_set
from rbf_helpers import layer_results, random_layer

from fields.ops.gaussian_layer import gaussian_layer, gaussian_layer_reference

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def assert_matches_reference(tensors, dtype):
    ours = layer_results(tensors, "native", dtype)
    reference = layer_results(tensors, "torch", torch.float64)
    for name in reference:
        assert_close(ours[name].double(), reference[name], TOLERANCE[dtype], name, floor=1e-6)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32))
@pytest.mark.parametrize("inputs, units", [(16, 64), (1, 1), (33, 7), (5, 100)])
def test_layer_and_gradients_match_reference(inputs, units, dtype, isa):
    with instruction_set(isa):
        assert_matches_reference(random_layer(333, inputs, units), dtype)


@settings(max_examples=25, deadline=None)
@given(points=st.integers(0, 150), inputs=st.integers(1, 70), units=st.integers(1, 70), seed=st.integers(0, 99))
def test_random_shapes_match_reference(points, inputs, units, seed):
    assert_matches_reference(random_layer(points, inputs, units, seed), torch.float64)


def test_reference_matches_the_definition():
    features, centres, log_widths = random_layer(20, 5, 6)
    q = (log_widths.exp() * (features[:, None] - centres) ** 2).sum(-1)
    assert_close(gaussian_layer_reference(features, centres, log_widths), torch.exp(-0.5 * q), 1e-13)


def test_float32_is_accurate_near_a_centre_far_from_the_origin():
    """An expanded square would cancel there."""
    random = torch.Generator().manual_seed(0)
    centres = 100.0 + torch.rand(8, 16, generator=random)
    features = centres[torch.arange(200) % 8] + 0.01 * torch.randn(200, 16, generator=random)
    widths = torch.full((8, 16), 4.0)
    exact = gaussian_layer(features.double(), centres.double(), widths.double(), backend="native")
    q = (widths.double().exp() * (features.double()[:, None] - centres.double()) ** 2).sum(-1)
    assert_close(exact, torch.exp(-0.5 * q), 1e-12)
    assert_close(gaussian_layer(features, centres, widths, backend="native").double(), exact, 1e-3)


def test_gradients_of_both_orders_match_differences():
    leaves = [t.requires_grad_() for t in random_layer(9, 4, 5)]
    assert torch.autograd.gradcheck(lambda *t: gaussian_layer(*t, backend="native"), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: gaussian_layer(*t, backend="native"), leaves)


def test_second_order_in_pieces_matches_reference(monkeypatch):
    monkeypatch.setattr(sys.modules["fields.ops.gaussian_layer"], "SECOND_ORDER_POINTS", 7)
    leaves = [t.requires_grad_() for t in random_layer(20, 4, 5)]
    seconds = []
    for backend in ("native", "torch"):
        (first,) = torch.autograd.grad(
            gaussian_layer(*leaves, backend=backend).square().sum(), leaves[0], create_graph=True
        )
        seconds.append(torch.autograd.grad(first.norm(dim=-1).sum(), leaves))
    for ours, reference in zip(*seconds):
        assert_close(ours, reference, 1e-11)


def test_one_width_per_unit_matches_reference():
    features, centres, _ = random_layer(40, 6, 9)
    widths = torch.linspace(-3, 1, 9, dtype=torch.float64)[:, None].requires_grad_()
    ours = gaussian_layer(features, centres, widths, backend="native")
    ours.sum().backward()
    reference_widths = widths.detach().clone().requires_grad_()
    reference = gaussian_layer(features, centres, reference_widths, backend="torch")
    reference.sum().backward()
    assert_close(ours.detach(), reference.detach(), 1e-12)
    assert_close(widths.grad, reference_widths.grad, 1e-12)


def test_results_are_identical_for_any_number_of_threads():
    tensors = random_layer(20000, 16, 64)
    before = torch.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(layer_results(tensors, "native", torch.float32))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(runs[0][name], run[name]) for run in runs[1:] for name in run)


def test_far_from_all_centres_is_zero_without_nan():
    tensors = [torch.full((40, 3), 1e10), torch.zeros(5, 3), torch.zeros(5, 3)]
    results = layer_results(tensors, "native", torch.float32)
    assert not results["output"].any() and all(t.isfinite().all() for t in results.values())


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((9, 3), (5, 4), (5, 4)), r"features must be \[..., 4\]"),
        (((9, 4), (5, 4), (4, 4)), r"log_widths must be \[5, 4 or 1\]"),
        (((9, 300), (5, 300), (5, 300)), "centres must be"),
        (((9, 4), (0, 4), (0, 4)), "centres must be"),
    ],
)
def test_refuses_wrong_shapes(shapes, message):
    with pytest.raises(ValueError, match=message):
        gaussian_layer(*(torch.zeros(shape) for shape in shapes))


def test_refuses_mixed_dtypes():
    with pytest.raises(ValueError, match="float32 or all float64"):
        gaussian_layer(torch.zeros(9, 4).double(), torch.zeros(5, 4), torch.zeros(5, 4))
