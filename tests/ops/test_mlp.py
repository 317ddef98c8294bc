"""The native MLP, alone and behind a grid, against plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, inner_points, instruction_set

import cuda_ext
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp, grid_mlp_reference
from fields.ops.mlp import mlp, mlp_reference, why_not_native_mlp, why_not_products

HAS_BFLOAT16 = why_not_products("bfloat16") is None
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason=f"{why_not_products('bfloat16')}")


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def draw(sizes, points, biased=True, activation="relu", dtype=torch.float64, seed=0):
    """Features, matrices, biases (or None)."""
    random = torch.Generator().manual_seed(seed)
    gain = 1.5 if activation != "sine" else 1.5 / 30.0
    weights = [
        gain * torch.randn(b, a, generator=random, dtype=torch.float64) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])
    ]
    biases = [0.3 * gain * torch.randn(b, generator=random, dtype=torch.float64) for b in sizes[1:]] if biased else None
    features = torch.randn(points, sizes[0], generator=random, dtype=torch.float64)
    return features.to(dtype), [w.to(dtype) for w in weights], biases and [b.to(dtype) for b in biases]


def all_of(function, inputs, seed=1):
    """Values, and the gradients of a random functional of them by every input."""
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    values = function(*leaves)
    grad = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(values)
    return [values.detach(), *torch.autograd.grad(values, leaves, grad)]


def assert_equals(ours, formula, tolerance, floor=0.0):
    for index, (a, b) in enumerate(zip(ours, formula, strict=True)):
        assert_close(a.double(), b.double(), tolerance, f"result {index}", floor)


def split(function, matrices, biased):
    """`function(features, weights, biases)` of flat tensors."""
    return lambda features, *p: function(features, list(p[:matrices]), list(p[matrices:]) if biased else None)


def compare(sizes, points, activation, biased, dtype, tolerance, seed=0, **options):
    features, weights, biases = draw(sizes, points, biased, activation, dtype, seed)
    inputs = [features, *weights, *(biases or [])]
    native = split(lambda f, w, b: mlp(f, w, activation, 30.0, b, backend="native", **options), len(weights), biased)
    formula = split(lambda f, w, b: mlp_reference(f, w, activation, 30.0, b), len(weights), biased)
    ours, exact = all_of(native, inputs), all_of(formula, [t.double() for t in inputs])
    assert ours[0].dtype == dtype
    assert_equals(ours, exact, tolerance, floor=1e-3)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("activation", ("none", "relu", "sine"))
@pytest.mark.parametrize("sizes", [(32, 64, 64, 3), (3, 16, 1), (7, 33, 5, 128), (20, 9), (130, 128, 128, 128, 100)])
def test_equals_the_formula(sizes, activation, dtype, tolerance, isa):
    compare(sizes, 150, activation, biased=len(sizes) != 4, dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize("points", (0, 1, 63, 64, 65, 4096, 4161))
def test_any_number_of_points(points):
    features, weights, biases = draw((5, 16, 3), points)
    inputs = [features, *weights, *biases]
    ours = all_of(split(lambda f, w, b: mlp(f, w, biases=b, backend="native"), 2, True), inputs)
    exact = all_of(split(lambda f, w, b: mlp_reference(f, w, biases=b), 2, True), inputs)
    assert_equals(ours, exact, 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_shape(data):
    inner = st.integers(1, 128)
    sizes = (data.draw(st.integers(1, 200)), *data.draw(st.lists(inner, max_size=4)), data.draw(inner))
    compare(
        sizes,
        data.draw(st.integers(1, 200)),
        data.draw(st.sampled_from(("none", "relu", "sine"))),
        data.draw(st.booleans()),
        torch.float64,
        1e-11,
        seed=data.draw(st.integers(0, 99)),
    )


@pytest.mark.parametrize("activation", ("none", "relu", "sine"))
@pytest.mark.parametrize("biased", (False, True))
def test_gradcheck(activation, biased):
    features, weights, biases = draw((3, 5, 4, 2), 6, biased, activation)
    inputs = [t.requires_grad_() for t in (features, *weights, *(biases or []))]
    function = split(lambda f, w, b: mlp(f, w, activation, 2.0, b, backend="native"), 3, biased)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_gradients_that_nobody_asks_for():
    features, weights, _ = draw((3, 8, 2), 10, biased=False)
    weights[1].requires_grad_()
    mlp(features, weights, backend="native").sum().backward()
    assert weights[1].grad is not None and weights[0].grad is None and features.grad is None


def test_an_input_made_of_another():
    """Second order where the features themselves depend on a matrix: nothing is counted twice."""
    features, weights, _ = draw((4, 4, 4), 7, biased=False)
    weight = weights[0].requires_grad_()

    def gradient(function):
        values = function(features @ weight.T, [weight, weight])
        (first,) = torch.autograd.grad(values.square().sum(), weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight)
        return first.detach(), second

    for ours, exact in zip(gradient(lambda f, w: mlp(f, w, backend="native")), gradient(mlp_reference)):
        assert_close(ours, exact, 1e-12)


def test_shapes_and_views():
    features, weights, biases = draw((6, 16, 3), 40)
    flat = mlp(features, weights, biases=biases)
    assert torch.equal(mlp(features.reshape(4, 10, 6), weights, biases=biases), flat.reshape(4, 10, 3))
    assert torch.equal(mlp(features[0], weights, biases=biases), flat[0])
    assert torch.equal(mlp(features.T.contiguous().T, [w.T.contiguous().T for w in weights], biases=biases), flat)
    assert mlp(features[:0].reshape(2, 0, 6), weights).shape == (2, 0, 3)


def test_same_bits_for_any_number_of_threads(isa):
    features, weights, biases = draw((32, 48, 3), 20000, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            results.append(
                all_of(
                    split(lambda f, w, b: mlp(f, w, biases=b, backend="native"), 2, True), [features, *weights, *biases]
                )
            )
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_what_is_too_large_goes_through_torch():
    features, weights, _ = draw((8, 129, 2), 5, biased=False)
    assert "at most 128 wide" in why_not_native_mlp(weights)
    assert torch.equal(mlp(features, weights), mlp_reference(features, weights))
    with pytest.raises(ValueError, match="at most 128 wide, not 129"):
        mlp(features, weights, backend="native")


@pytest.mark.parametrize(
    "change, says",
    [
        ({"activation": "gelu"}, "none, relu or sine"),
        ({"products": "int8"}, "products are"),
        ({"weights": []}, "at least one matrix"),
        ({"weights": [torch.zeros(16, 5), torch.zeros(3, 16)]}, "matrix 0 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 8)]}, "matrix 1 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 16).double()]}, "all be float32 or all float64"),
        ({"features": torch.zeros(4, 8).half()}, "all be float32 or all float64"),
        ({"features": torch.zeros(())}, "matrix 0 must be"),
        ({"biases": [torch.zeros(16)]}, "a bias for each"),
        ({"biases": [torch.zeros(16), torch.zeros(4)]}, "bias 1 must be"),
        ({"products": "float16"}, "float32 or bfloat16 numbers, not float16"),
        (
            {"features": torch.zeros(4, 8).double(), "weights": [torch.zeros(3, 8).double()], "products": "bfloat16"},
            "for float32 features",
        ),
        ({"backend": "quick"}, "auto, native or torch"),
    ],
)
def test_what_it_refuses(change, says):
    arguments = {"features": torch.zeros(4, 8), "weights": [torch.zeros(16, 8), torch.zeros(3, 16)], **change}
    with pytest.raises(ValueError, match=says) as caught:
        mlp(**arguments)
    assert "\n" not in str(caught.value)


# Products of bfloat16 numbers.


def rounded_reference(features, weights, activation, omega, biases, grad):
    """Values and gradients with every factor rounded to bfloat16, as the kernel does it, in float64."""

    def r(tensor):
        return tensor.float().bfloat16().double()

    inputs, slopes, h = [], [], features
    for i, (w, b) in enumerate(zip(weights, biases)):
        inputs.append(r(h))
        h = inputs[-1] @ r(w).T + b
        if i + 1 < len(weights):
            # Where a rounded output is zero, so is the slope: as the kernel sees it.
            slopes.append((r(h) > 0).double() if activation == "relu" else omega * torch.cos(omega * h))
            h = torch.relu(h) if activation == "relu" else torch.sin(omega * h)
    values, by_weights, by_biases = h, [], []
    for i in reversed(range(len(weights))):
        by_weights.insert(0, r(grad).T @ inputs[i])
        by_biases.insert(0, r(grad).sum(0))
        grad = r(grad) @ r(weights[i])
        if i:
            grad = grad * slopes[i - 1]
    return [values, grad, *by_weights, *by_biases]


@needs_bfloat16
@pytest.mark.parametrize("activation", ("relu", "sine"))
@pytest.mark.parametrize("sizes", [(32, 64, 64, 3), (3, 17, 16, 5), (7, 1), (33, 128, 100)])
def test_bfloat16_rounds_what_it_multiplies(sizes, activation):
    features, weights, biases = draw(sizes, 150, True, activation, torch.float32)
    leaves = [t.requires_grad_() for t in (features, *weights, *biases)]
    values = mlp(features, weights, activation, 30.0, biases, products="bfloat16")
    grad = torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    ours = [values, *torch.autograd.grad(values, leaves, grad)]
    doubles = [[t.detach().double() for t in part] for part in (weights, biases)]
    exact = rounded_reference(features.detach().double(), doubles[0], activation, 30.0, doubles[1], grad.double())
    # A sum that rounds to the other neighbour, having been added up in another order, is off by 2^-8 in one factor.
    assert_equals([t.detach() for t in ours], exact, 2e-3, floor=1e-3)


@needs_bfloat16
def test_bfloat16_needs_the_processor():
    with instruction_set("avx2"):
        assert "no AVX512-BF16" in why_not_products("bfloat16")
        with pytest.raises(ValueError, match="no AVX512-BF16.* avx2"):
            mlp(torch.zeros(4, 8), [torch.zeros(3, 8)], products="bfloat16")
    with pytest.raises(ValueError, match="need the native kernel"):
        mlp(torch.zeros(4, 8), [torch.zeros(3, 8)], products="bfloat16", backend="torch")


# Behind a grid.


def grid_case(dimensions=2, features=2, points=150, sizes=(16, 3), dtype=torch.float64, biased=True):
    layout = GridLayout(dimensions, 3, features, 3, 1.5, 64)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, points, random, margin=0.02, dtype=dtype)
    table = torch.randn(layout.entries, layout.features, generator=random, dtype=torch.float64).to(dtype)
    _, weights, biases = draw((layout.outputs, *sizes), 1, biased, dtype=dtype)
    return layout, [coords, table, *weights, *(biases or [])]


def grid_functions(layout, matrices, biased, interpolation="linear", **options):
    """Native and formula, of flat tensors."""

    def flat(function, **more):
        return lambda coords, table, *p: function(
            coords, table, p[:matrices], layout, interpolation, biases=p[matrices:] if biased else None, **more
        )

    return flat(grid_mlp, **options), flat(grid_mlp_reference)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
@pytest.mark.parametrize("dimensions, features", [(1, 8), (2, 2), (3, 1), (3, 4), (4, 2)])
def test_grid_mlp_equals_the_formula(dimensions, features, interpolation, dtype, tolerance, isa):
    layout, inputs = grid_case(dimensions, features, dtype=dtype)
    native, formula = grid_functions(layout, 2, True, interpolation, backend="native")
    assert_equals(all_of(native, inputs), all_of(formula, [t.double() for t in inputs]), tolerance)


@pytest.mark.parametrize("points", (0, 1, 4097, 9000))
def test_grid_mlp_any_number_of_points(points):
    layout, inputs = grid_case(points=max(points, 1), biased=False)
    inputs[0] = inputs[0][:points]
    native, formula = grid_functions(layout, 2, False)
    assert_equals(all_of(native, inputs), all_of(formula, inputs), 1e-12)


@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
def test_grid_mlp_gradcheck(interpolation):
    layout, inputs = grid_case(points=4, sizes=(4, 2))
    inputs = [t.requires_grad_() for t in inputs]
    native, _ = grid_functions(layout, 2, True, interpolation)
    assert torch.autograd.gradcheck(native, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(native, inputs, fast_mode=True)


@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (0, 3)])
def test_grid_mlp_gives_what_is_asked_for(asked):
    layout, inputs = grid_case(biased=False)
    native, formula = grid_functions(layout, 2, False)

    def gradients(function):
        leaves = [t.clone().requires_grad_(i in asked) for i, t in enumerate(inputs)]
        function(*leaves).square().sum().backward()
        return [t.grad for t in leaves]

    for ours, exact in zip(gradients(native), gradients(formula)):
        assert (ours is None) == (exact is None)
        if ours is not None:
            assert_close(ours, exact, 1e-12)


def test_eikonal_gradients():
    """What a distance field is trained by: the gradient of a loss on the gradient by the coordinates."""
    layout, inputs = grid_case(3, 2, points=300, sizes=(32, 32, 1), biased=False)
    native, formula = grid_functions(layout, 3, False, "smoothstep")

    def gradients(function):
        leaves = [t.clone().requires_grad_() for t in inputs]
        values = function(*leaves)
        (normal,) = torch.autograd.grad(values.sum(), leaves[0], create_graph=True)
        loss = values.abs().mean() + ((normal.norm(dim=-1) - 1) ** 2).mean()
        return torch.autograd.grad(loss, leaves[1:])

    for ours, exact in zip(gradients(native), gradients(formula)):
        assert_close(ours, exact, 1e-10)


@needs_bfloat16
def test_grid_mlp_bfloat16_is_near():
    layout, inputs = grid_case(points=500, sizes=(64, 16), dtype=torch.float32)
    # (Without kinks, at which a unit would be on in one and off in the other.)
    native = lambda c, t, *p: grid_mlp(c, t, p[:2], layout, activation="none", biases=p[2:], products="bfloat16")  # noqa: E731
    formula = lambda c, t, *p: grid_mlp_reference(c, t, p[:2], layout, activation="none", biases=p[2:])  # noqa: E731
    assert_equals(all_of(native, inputs), all_of(formula, inputs), 2e-2)


def test_grid_mlp_through_torch():
    layout, inputs = grid_case()
    chosen, formula = grid_functions(layout, 2, True, backend="torch")
    assert_equals(all_of(chosen, inputs), all_of(formula, inputs), 1e-14)
    with pytest.raises(ValueError, match="matrix 0 must be"):
        grid_mlp(inputs[0], inputs[1], [torch.zeros(4, 5, dtype=torch.float64)], layout)
    assert cuda_ext.why_absent("cpu") is None
