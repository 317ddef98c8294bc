"""Gather of radial basis functions: native against the reference for every kernel and instruction set."""

import sys
import threading

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, instruction_set
from rbf_helpers import INPUTS, gather_results, moved, random_inputs

from fields.ops.rbf_gather import KERNELS, NORMALISE, full_shapes, pack_shapes, rbf_gather, unpack_shapes

TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5}


def assert_matches_reference(inputs, kernel, normalise, dtype, tolerance=None):
    ours = gather_results(inputs, kernel, normalise, "native", dtype)
    reference = gather_results(inputs, kernel, normalise, "torch", torch.float64)
    for name in reference:
        assert_close(ours[name].double(), reference[name], tolerance or TOLERANCE[dtype], name, floor=1e-3)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32))
@pytest.mark.parametrize("dimensions", (2, 3))
@pytest.mark.parametrize("kernel", KERNELS)
def test_gather_and_gradients_match_reference(kernel, dimensions, dtype, isa):
    with instruction_set(isa):
        for normalise, sines, features in (
            ("none", True, 32),
            ("detached", True, 20),
            ("full", True, 7),
            ("full", False, 40),
        ):
            inputs = random_inputs(203, 40, features, 8, dimensions, kernel, sines)
            assert_matches_reference(inputs, kernel, normalise, dtype)


@settings(max_examples=30, deadline=None)
@given(
    points=st.integers(0, 70),
    kernels=st.integers(1, 30),
    features=st.integers(1, 128),
    neighbours=st.integers(1, 32),
    dimensions=st.sampled_from((2, 3)),
    kernel=st.sampled_from(KERNELS),
    normalise=st.sampled_from(NORMALISE),
    sines=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_shapes_match_reference(
    points, kernels, features, neighbours, dimensions, kernel, normalise, sines, seed
):
    inputs = random_inputs(points, kernels, features, neighbours, dimensions, kernel, sines, seed=seed)
    # The normalised value of a lone neighbour hardly changes, so its gradients are differences with few digits.
    assert_matches_reference(inputs, kernel, normalise, torch.float64, tolerance=1e-8)


def test_high_frequencies_in_float32_lose_only_the_rounding_of_the_argument():
    """Frequencies up to 2^12, compared with the error of plain torch in float32."""
    inputs = random_inputs(2000, 40, 32, 4, 2, highest=12.0)
    ours = gather_results(inputs, "inverse_quadratic", "detached", "native", torch.float32)["output"].double()
    reference = gather_results(inputs, "inverse_quadratic", "detached", "torch", torch.float64)["output"]
    theirs = gather_results(inputs, "inverse_quadratic", "detached", "torch", torch.float32)["output"].double()
    assert (ours - reference).square().mean() <= 4.0 * (theirs - reference).square().mean()
    assert_close(ours[:, :20], reference[:, :20], 1e-3)


def functional(inputs, kernel, normalise, names):
    """`rbf_gather` as a function of the named inputs, and these as leaves."""

    def function(*leaves):
        own = {**inputs, **dict(zip(names, leaves))}
        return rbf_gather(
            own["coords"],
            own["neighbours"],
            centres=own["centres"],
            shapes=own["shapes"],
            features=own["features"],
            frequencies=own["frequencies"],
            phases=own["phases"],
            kernel=kernel,
            normalise=normalise,
            backend="native",
        )

    return function, [inputs[name].clone().requires_grad_() for name in names]


@pytest.mark.parametrize("normalise", ("none", "full"))
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dimensions", (2, 3))
def test_gradients_of_both_orders_match_differences(dimensions, kernel, normalise):
    inputs = random_inputs(5, 6, 3, 3, dimensions, kernel)
    function, leaves = functional(inputs, kernel, normalise, INPUTS)
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


def test_second_order_does_not_depend_on_the_size_of_pieces(monkeypatch):
    inputs = random_inputs(50, 9, 5, 4, 3)

    def second():
        function, leaves = functional(inputs, "gaussian", "detached", INPUTS)
        first = torch.autograd.grad(function(*leaves).square().sum(), leaves[0], create_graph=True)[0]
        return torch.autograd.grad(first.norm(dim=-1).sum(), leaves)

    whole = second()
    monkeypatch.setattr(sys.modules["fields.ops.rbf_gather"], "SECOND_ORDER_POINTS", 7)
    for name, a, b in zip(INPUTS, second(), whole):
        assert_close(a, b, 1e-12, name)


def test_gradient_of_features_alone_is_the_same():
    inputs = random_inputs(100, 20, 32, 4, 2)
    function, (features,) = functional(inputs, "inverse_quadratic", "detached", ["features"])
    upstream = torch.randn(100, 32, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(function(features), features, upstream)
    function, leaves = functional(inputs, "inverse_quadratic", "detached", INPUTS)
    assert_close(gradient, torch.autograd.grad(function(*leaves), leaves, upstream)[3], 1e-13)


def test_results_are_identical_in_every_run():
    inputs = moved(random_inputs(5000, 300, 32, 8, 2), torch.float32)
    runs = [gather_results(inputs, "gaussian", "full", "native", torch.float32) for _ in range(3)]
    assert all(torch.equal(runs[0][name], run[name]) for run in runs[1:] for name in run)


@pytest.mark.parametrize("dimensions", (2, 3))
def test_hats_on_a_lattice_interpolate_linearly(dimensions):
    """Kernels of one cell's width at the corners of a lattice are bilinear and trilinear interpolation."""
    size, count = 5, 200
    axes = torch.meshgrid(*[torch.arange(size)] * dimensions, indexing="ij")
    centres = torch.stack(axes, -1).reshape(-1, dimensions).double() / (size - 1)
    values = torch.randn(*[size] * dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coords = torch.rand(count, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cell = (coords * (size - 1)).floor().long()
    corners = [
        cell + torch.tensor([corner >> axis & 1 for axis in range(dimensions)]) for corner in range(2**dimensions)
    ]
    strides = torch.tensor([size ** (dimensions - 1 - axis) for axis in range(dimensions)])
    neighbours = torch.stack([(corner * strides).sum(-1) for corner in corners], -1).to(torch.int32)
    kappa = torch.full((len(centres), 1), size - 1.0, dtype=torch.float64)
    ours = rbf_gather(
        coords,
        neighbours,
        centres=centres,
        shapes=kappa,
        features=values.reshape(-1, 1),
        kernel="hat",
        normalise="none",
        backend="native",
    )
    grid = torch.nn.functional.grid_sample(
        values[None, None], (2 * coords.flip(-1) - 1).view(1, *[1] * (dimensions - 1), count, -1), align_corners=True
    )
    assert_close(ours.flatten(), grid.flatten(), 1e-12)


@pytest.mark.parametrize(
    "kernel, expected",
    [
        ("inverse_quadratic", 0.5),
        ("inverse_multiquadric", 2**-0.5),
        ("gaussian", 0.6065306597126334),
        ("hat", 0.0),
        ("markov", 0.36787944117144233),
    ],
)
def test_kernel_value_at_one_width(kernel, expected):
    centres, coords = torch.zeros(1, 2).double(), torch.tensor([[0.25, 0.0]]).double()
    shape = torch.tensor([[4.0 if kernel == "hat" else 16.0, 1.0]]).double()
    value = rbf_gather(
        coords,
        torch.zeros(1, 1, dtype=torch.int32),
        centres=centres,
        shapes=shape,
        features=torch.ones(1, 1).double(),
        kernel=kernel,
        normalise="none",
        backend="native",
    )
    assert value.item() == pytest.approx(expected, abs=1e-14)


def test_three_forms_of_shapes_give_the_same_features():
    inputs = random_inputs(30, 8, 4, 3, 3)
    scalar = torch.rand(8, 1).double()
    forms = (scalar, scalar.expand(8, 3), pack_shapes(scalar.unsqueeze(-1) * torch.eye(3).double()))
    outputs = [functional({**inputs, "shapes": form}, "hat", "none", ["coords"])[0](inputs["coords"]) for form in forms]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])
    matrices = unpack_shapes(inputs["shapes"])
    assert torch.equal(matrices, matrices.transpose(1, 2)) and torch.equal(pack_shapes(matrices), inputs["shapes"])
    leaf = scalar.clone().requires_grad_()
    full_shapes(leaf, 3).sum().backward()
    assert torch.equal(leaf.grad, torch.full((8, 1), 3.0, dtype=torch.float64))


def test_leading_shape_is_kept():
    inputs = moved(random_inputs(24, 9, 4, 3, 2), torch.float32)
    flat, _ = functional(inputs, "gaussian", "none", ["coords"])
    expected = flat(inputs["coords"])
    folded = {**inputs, "neighbours": inputs["neighbours"].view(2, 3, 4, 3)}
    assert torch.equal(
        functional(folded, "gaussian", "none", ["coords"])[0](inputs["coords"].view(2, 3, 4, 2)),
        expected.view(2, 3, 4, 4),
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coords": torch.rand(9, 4)}, r"coords must be \[..., 2\] or"),
        ({"centres": torch.rand(7, 3)}, r"centres must be \[N, 2\]"),
        ({"shapes": torch.rand(7, 4)}, r"shapes must be \[7, 1 or 2 or 3\]"),
        ({"features": torch.rand(7, 129)}, "features must be"),
        ({"frequencies": torch.rand(3)}, r"frequencies must be \[4\]"),
        ({"frequencies": torch.rand(4).requires_grad_()}, "cannot require gradients"),
        ({"frequencies": None}, "phases need frequencies"),
        ({"neighbours": torch.zeros(9, 3, dtype=torch.long)}, "int32"),
        ({"neighbours": torch.zeros(8, 3, dtype=torch.int32)}, "neighbours must be"),
        ({"neighbours": torch.full((9, 3), 7, dtype=torch.int32)}, "0 to 6"),
        ({"neighbours": torch.full((9, 3), -1, dtype=torch.int32)}, "0 to 6"),
        ({"centres": torch.rand(7, 2).double()}, "all float64"),
    ],
)
def test_refuses_tensors_that_do_not_fit_together(change, message):
    own = {**moved(random_inputs(9, 7, 4, 3, 2), torch.float32), **change}
    with pytest.raises(ValueError, match=message):
        rbf_gather(
            own["coords"],
            own["neighbours"],
            centres=own["centres"],
            shapes=own["shapes"],
            features=own["features"],
            frequencies=own["frequencies"],
            phases=own["phases"],
        )


def test_refuses_unknown_names():
    own = moved(random_inputs(9, 7, 4, 3, 2), torch.float32)
    function, leaves = functional(own, "cubic", "none", ["coords"])
    with pytest.raises(ValueError, match="the kernel is one of"):
        function(*leaves)
    function, leaves = functional(own, "hat", "yes", ["coords"])
    with pytest.raises(ValueError, match="normalise is one of"):
        function(*leaves)


def test_memory_stays_below_60_megabytes():
    """Neither direction builds [points, neighbours, features], which alone would be 128 MB here."""
    inputs = moved(random_inputs(1 << 17, 1000, 32, 8, 2), torch.float32)
    function, leaves = functional(inputs, "inverse_quadratic", "detached", ["features"])
    upstream = torch.ones(1 << 17, 32)
    torch.autograd.grad(function(*leaves), leaves, upstream)

    def resident():
        return psutil.Process().memory_info().rss / 1e6

    before, peak, done = resident(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.001):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    for _ in range(5):
        torch.autograd.grad(function(*leaves), leaves, upstream)
    done.set()
    watcher.join()
    assert peak[0] - before < 60.0
