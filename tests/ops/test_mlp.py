"""The native MLP, alone and behind a hash grid, against the reference in plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, inner_points, instruction_set

import cuda_ext
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp, grid_mlp_reference
from fields.ops.mlp import (
    ACTIVATIONS,
    GABOR_UNITS,
    ActivationShape,
    MlpKernel,
    activate,
    mlp,
    mlp_reference,
    why_not_matmul_dtype,
    why_not_native_mlp,
)

HAS_BFLOAT16 = why_not_matmul_dtype("bfloat16") is None
# Constants of each activation, and the gain of random weights with which its arguments are moderate.
SHAPES = {
    "none": ActivationShape("none"),
    "relu": ActivationShape("relu"),
    "sine": ActivationShape("sine", omega=30.0, first_omega=20.0),
    "finer": ActivationShape("finer", omega=30.0, first_omega=20.0),
    "finer_through": ActivationShape("finer_through", omega=30.0, first_omega=20.0),
    "softplus": ActivationShape("softplus", scale=5.0),
    "gaussian": ActivationShape("gaussian", scale=1.3),
    "gabor": ActivationShape("gabor", omega=4.0, first_omega=3.0, scale=2.0),
    "quadratic": ActivationShape("quadratic"),
}
GAINS = {"sine": 1.5 / 30.0, "finer": 1.5 / 30.0, "finer_through": 1.5 / 30.0, "gabor": 0.5, "quadratic": 0.8}
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason=f"{why_not_matmul_dtype('bfloat16')}")


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def draw(sizes, points, biased=True, activation="relu", dtype=torch.float64, seed=0):
    """Random features `[points, sizes[0]]`, matrices, and biases or None."""
    random = torch.Generator().manual_seed(seed)
    gain = GAINS.get(activation, 1.5)
    parts = 3 if activation == "quadratic" else 1
    rows = [*(parts * b for b in sizes[1:-1]), sizes[-1]]
    weights = [gain * torch.randn(b, a, generator=random, dtype=torch.float64) / a**0.5 for a, b in zip(sizes, rows)]
    biases = [0.3 * gain * torch.randn(b, generator=random, dtype=torch.float64) for b in rows] if biased else None
    features = torch.randn(points, sizes[0], generator=random, dtype=torch.float64)
    return features.to(dtype), [w.to(dtype) for w in weights], biases and [b.to(dtype) for b in biases]


def values_and_gradients(function, inputs, seed=1):
    """Values, and the gradients of a random functional of them with respect to every input."""
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    values = function(*leaves)
    grad = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(values)
    return [values.detach(), *torch.autograd.grad(values, leaves, grad)]


def assert_all_close(ours, reference, tolerance, floor=0.0):
    for index, (a, b) in enumerate(zip(ours, reference, strict=True)):
        assert_close(a.double(), b.double(), tolerance, f"result {index}", floor)


def flattened(function, matrices, biased):
    """`function(features, weights, biases)` as a function of features, matrices and biases in one argument list."""
    return lambda features, *p: function(features, list(p[:matrices]), list(p[matrices:]) if biased else None)


def constants(activation):
    """The keyword arguments of `mlp` for an activation."""
    shape = SHAPES[activation]
    return {"omega": shape.omega, "first_omega": shape.first_omega, "scale": shape.scale}


def fitting(sizes, activation):
    """The sizes with the hidden layers widened to pairs of whole vectors, as complex layers need them."""
    if activation != "gabor":
        return tuple(sizes)
    pairs = 2 * GABOR_UNITS
    return (sizes[0], *(-(-size // pairs) * pairs for size in sizes[1:-1]), sizes[-1])


def assert_matches_reference(sizes, points, activation, biased, dtype, tolerance, seed=0, **options):
    features, weights, biases = draw(fitting(sizes, activation), points, biased, activation, dtype, seed)
    inputs = [features, *weights, *(biases or [])]
    options |= constants(activation)
    native = flattened(
        lambda f, w, b: mlp(f, w, activation, biases=b, backend="native", **options), len(weights), biased
    )
    reference = flattened(SHAPES[activation].reference, len(weights), biased)
    ours, exact = values_and_gradients(native, inputs), values_and_gradients(reference, [t.double() for t in inputs])
    assert ours[0].dtype == dtype
    assert_all_close(ours, exact, tolerance, floor=1e-3)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(32, 64, 64, 3), (3, 16, 1), (7, 33, 5, 128), (20, 9), (130, 128, 300, 128, 100)])
def test_mlp_and_gradients_match_reference(sizes, activation, dtype, tolerance, isa):
    assert_matches_reference(sizes, 150, activation, biased=len(sizes) != 4, dtype=dtype, tolerance=tolerance)


# What is joined to a network of these sizes: the matrix of a skip connection, standardization, and modulation.
VARIANTS = {
    "skip": (2, False, False),
    "skip-last": (3, False, False),
    "standardized": (0, True, False),
    "modulated": (0, False, True),
    "standardized-modulated": (0, True, True),
    "all": (2, True, True),
}


def draw_variant(sizes, points, variant, dtype=torch.float64, biased=True, seed=0):
    """Features, parameters, modulation (or nothing), and the functions by the native kernel and by the reference."""
    skip, standardize, modulated = VARIANTS[variant]
    features, weights, biases = draw(sizes, points, biased, dtype=torch.float64, seed=seed)
    random = torch.Generator().manual_seed(seed + 1)
    if skip:
        wider = torch.randn(sizes[skip + 1], sizes[0] + sizes[skip], generator=random, dtype=torch.float64)
        weights[skip] = wider / wider.shape[1] ** 0.5
    hidden = len(sizes) - 2
    columns = [0.5 + torch.rand(points, 2 * hidden, generator=random, dtype=torch.float64)] if modulated else []
    inputs = [t.to(dtype) for t in (features, *weights, *(biases or []), *columns)]
    matrices, options = len(weights), {"skip": skip, "standardize": standardize}

    def evaluated(function, **more):
        def values(features, *p):
            p, modulation = (p[:-1], p[-1]) if modulated else (p, None)
            own = list(p[matrices:]) if biased else None
            return function(features, list(p[:matrices]), biases=own, modulation=modulation, **options, **more)

        return values

    return inputs, evaluated(mlp, backend="native"), evaluated(mlp_reference)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 3e-5)])
@pytest.mark.parametrize("sizes", [(5, 16, 16, 16, 3), (33, 7, 40, 21, 20)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_skip_connections_and_modulation_match_reference(variant, sizes, dtype, tolerance, isa):
    inputs, native, reference = draw_variant(sizes, 150, variant, dtype, biased=sizes[0] == 5)
    ours, exact = values_and_gradients(native, inputs), values_and_gradients(reference, [t.double() for t in inputs])
    assert ours[0].dtype == dtype
    assert_all_close(ours, exact, tolerance, floor=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_skip_connections_and_modulation_match_reference(data):
    size = st.integers(1, 80)
    sizes = tuple(data.draw(size) for _ in range(5))
    inputs, native, reference = draw_variant(
        sizes,
        data.draw(st.integers(1, 200)),
        data.draw(st.sampled_from(list(VARIANTS))),
        seed=data.draw(st.integers(0, 99)),
    )
    # Of a single unit nothing is left by standardization but the root of epsilon, which magnifies rounding.
    assert_all_close(values_and_gradients(native, inputs), values_and_gradients(reference, inputs), 1e-9, floor=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_both_orders_of_variants_match_differences(variant):
    inputs, native, _ = draw_variant((3, 5, 6, 5, 2), 6, variant)
    inputs = [t.requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(native, inputs)
    assert torch.autograd.gradgradcheck(native, inputs)


def test_features_alone_may_lack_a_gradient_with_a_skip_connection():
    inputs, native, reference = draw_variant((5, 16, 16, 16, 3), 100, "skip")
    features, *parameters = inputs
    parts = [values_and_gradients(lambda *p, f=f: f(features, *p), parameters) for f in (native, reference)]
    assert_all_close(*parts, 1e-12)


@needs_bfloat16
@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_variants_are_close_to_reference(variant):
    inputs, _, reference = draw_variant((20, 48, 48, 48, 3), 500, variant, torch.float32)
    skip, standardize, modulated = VARIANTS[variant]

    def native(features, *p):
        p, modulation = (p[:-1], p[-1]) if modulated else (p, None)
        return mlp(
            features,
            list(p[:4]),
            biases=list(p[4:]),
            skip=skip,
            standardize=standardize,
            modulation=modulation,
            matmul_dtype="bfloat16",
            backend="native",
        )

    for a, b in zip(values_and_gradients(native, inputs), values_and_gradients(reference, inputs), strict=True):
        assert ((a - b).norm() <= 0.1 * b.norm()).item()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"skip": 3}, "skip is the index of one of the 3 matrices"),
        ({"skip": 1}, r"matrix 1 must be \[out, 11\]"),
        ({"standardize": True, "activation": "sine"}, "only networks of ReLU units are standardized"),
        ({"modulation": torch.zeros(9, 4), "activation": "sine"}, "only networks of ReLU units are modulated"),
        ({"modulation": torch.zeros(9, 3)}, r"modulation must be \[9, 4\]"),
        ({"modulation": torch.zeros(8, 4)}, r"modulation must be \[9, 4\]"),
        ({"modulation": torch.zeros(9, 4).double()}, "must all be float32 or all float64"),
        ({"skip": 1, "activation": "quadratic"}, "quadratic layers have no skip"),
        ({"activation": "quadratic"}, "rows of three matrices"),
    ],
)
def test_variants_refuse_what_does_not_fit(options, message):
    weights = [torch.zeros(8, 3), torch.zeros(8, 8), torch.zeros(2, 8)]
    with pytest.raises(ValueError, match=message):
        mlp(torch.zeros(9, 3), weights, **options)


def test_the_reason_against_native_kernels_names_what_they_lack():
    weights = [torch.zeros(24, 3), torch.zeros(2, 8)]
    assert "skip connections" in why_not_native_mlp(weights, "relu", "cuda", modulated=True)
    assert "float32" in why_not_native_mlp(weights, "quadratic", matmul_dtype="bfloat16")


@pytest.mark.parametrize("points", (0, 1, 63, 64, 65, 4096, 4161))
def test_any_number_of_points_matches_reference(points):
    features, weights, biases = draw((5, 16, 3), points)
    inputs = [features, *weights, *biases]
    ours = values_and_gradients(flattened(lambda f, w, b: mlp(f, w, biases=b, backend="native"), 2, True), inputs)
    exact = values_and_gradients(flattened(lambda f, w, b: mlp_reference(f, w, biases=b), 2, True), inputs)
    assert_all_close(ours, exact, 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_shapes_match_reference(data):
    inner = st.integers(1, 300)
    sizes = (data.draw(st.integers(1, 200)), *data.draw(st.lists(inner, max_size=4)), data.draw(inner))
    assert_matches_reference(
        sizes,
        data.draw(st.integers(1, 200)),
        data.draw(st.sampled_from(ACTIVATIONS)),
        data.draw(st.booleans()),
        torch.float64,
        1e-11,
        seed=data.draw(st.integers(0, 99)),
    )


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a != "finer"])
@pytest.mark.parametrize("biased", (False, True))
def test_gradients_of_both_orders_match_differences(activation, biased):
    """Of all activations but finer, whose constant factor makes its backward pass no derivative."""
    features, weights, biases = draw(fitting((3, 5, 4, 2), activation), 6, biased, activation)
    inputs = [t.requires_grad_() for t in (features, *weights, *(biases or []))]
    options = constants(activation) | {"omega": 2.0}
    function = flattened(lambda f, w, b: mlp(f, w, activation, biases=b, backend="native", **options), 3, biased)
    # Complex layers have too many weights for all of the Jacobian.
    fast = activation == "gabor"
    assert torch.autograd.gradcheck(function, inputs, fast_mode=fast)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=fast)


def test_finer_has_its_factor_constant_in_gradients_of_both_orders():
    z = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64).unsqueeze(1).requires_grad_()
    one = torch.ones(1, 1, dtype=torch.float64)
    values = mlp(z, [one, one], "finer", omega=3.0, backend="native")
    phase = 3.0 * (z.detach().abs() + 1.0) * z.detach()
    factor = 3.0 * (z.detach().abs() + 1.0)
    (plain,) = torch.autograd.grad(values.sum(), z, retain_graph=True)
    (first,) = torch.autograd.grad(values.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    assert_close(plain, factor * torch.cos(phase), 1e-12)
    assert_close(first.detach(), factor * torch.cos(phase), 1e-12)
    assert_close(second, -(factor**2) * torch.sin(phase), 1e-12)


def test_first_omega_takes_the_place_of_omega_in_the_first_layer():
    features, weights, biases = draw((3, 8, 8, 2), 20, activation="sine")
    values = mlp(features, weights, "sine", omega=7.0, first_omega=11.0, biases=biases, backend="native")
    h = torch.sin(11.0 * (features @ weights[0].T + biases[0]))
    h = torch.sin(7.0 * (h @ weights[1].T + biases[1]))
    assert_close(values, h @ weights[2].T + biases[2], 1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-14), (torch.float32, 2e-7)])
def test_softplus_of_large_arguments_is_linear_and_of_small_ones_keeps_its_digits(dtype, tolerance, isa):
    z = torch.tensor([-300.0, -90.0, -20.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 20.0, 90.0, 300.0], dtype=dtype).unsqueeze(1)
    one = torch.ones(1, 1, dtype=dtype)
    leaf = z.clone().requires_grad_()
    values = mlp(leaf, [one, one], "softplus", scale=1.0, backend="native")
    (slope,) = torch.autograd.grad(values.sum(), leaf)
    exact = torch.logaddexp(z.double(), torch.zeros_like(z).double())
    # In units of the largest of 1 and the value: beyond 87, float32 rounds exp(-x) to 0.
    assert ((values.double() - exact).abs() <= 3 * tolerance * exact.clamp(min=1.0)).all()
    assert ((slope.double() - torch.sigmoid(z.double())).abs() <= 3 * tolerance).all()


def test_complex_layers_of_single_units_use_torch():
    features, weights, _ = draw((3, 20, 2), 5, biased=False, activation="gabor")
    assert "multiple of 16 units" in why_not_native_mlp(weights, "gabor")
    assert torch.equal(
        mlp(features, weights, "gabor", **constants("gabor")), SHAPES["gabor"].reference(features, weights, None)
    )
    with pytest.raises(ValueError, match="multiple of 16 units"):
        mlp(features, weights, "gabor", backend="native")
    layout, inputs = grid_case(sizes=(20, 3), biased=False)
    values = grid_mlp(*inputs[:2], inputs[2:], layout, activation="gabor", omega=4.0)
    assert_close(values, grid_mlp_reference(*inputs[:2], inputs[2:], layout, activation="gabor", omega=4.0), 1e-12)


def test_gradients_that_are_not_needed_stay_none():
    features, weights, _ = draw((3, 8, 2), 10, biased=False)
    weights[1].requires_grad_()
    mlp(features, weights, backend="native").sum().backward()
    assert weights[1].grad is not None and weights[0].grad is None and features.grad is None


def test_second_derivative_counts_dependent_inputs_once():
    """The features depend on a matrix that is also a weight."""
    features, weights, _ = draw((4, 4, 4), 7, biased=False)
    weight = weights[0].requires_grad_()

    def gradient(function):
        values = function(features @ weight.T, [weight, weight])
        (first,) = torch.autograd.grad(values.square().sum(), weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight)
        return first.detach(), second

    for ours, exact in zip(gradient(lambda f, w: mlp(f, w, backend="native")), gradient(mlp_reference)):
        assert_close(ours, exact, 1e-12)


def test_leading_shapes_and_views_give_the_same_values():
    features, weights, biases = draw((6, 16, 3), 40)
    flat = mlp(features, weights, biases=biases)
    assert torch.equal(mlp(features.reshape(4, 10, 6), weights, biases=biases), flat.reshape(4, 10, 3))
    assert torch.equal(mlp(features[0], weights, biases=biases), flat[0])
    assert torch.equal(mlp(features.T.contiguous().T, [w.T.contiguous().T for w in weights], biases=biases), flat)
    assert mlp(features[:0].reshape(2, 0, 6), weights).shape == (2, 0, 3)


def test_results_are_identical_for_any_number_of_threads(isa):
    features, weights, biases = draw((32, 48, 3), 20000, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            results.append(
                values_and_gradients(
                    flattened(lambda f, w, b: mlp(f, w, biases=b, backend="native"), 2, True),
                    [features, *weights, *biases],
                )
            )
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_too_wide_mlp_uses_torch():
    features, weights, _ = draw((8, 513, 2), 5, biased=False)
    assert "at most 512 wide" in why_not_native_mlp(weights)
    assert torch.equal(mlp(features, weights), mlp_reference(features, weights))
    with pytest.raises(ValueError, match="at most 512 wide, not 513"):
        mlp(features, weights, backend="native")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"activation": "gelu"}, "none, relu, sine, .* or quadratic, not 'gelu'"),
        ({"matmul_dtype": "int8"}, "matmul_dtype is"),
        ({"weights": []}, "at least one matrix"),
        ({"weights": [torch.zeros(16, 5), torch.zeros(3, 16)]}, "matrix 0 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 8)]}, "matrix 1 must be"),
        ({"weights": [torch.zeros(16, 8), torch.zeros(3, 16).double()]}, "all be float32 or all float64"),
        ({"features": torch.zeros(4, 8).half()}, "all be float32 or all float64"),
        ({"features": torch.zeros(())}, "matrix 0 must be"),
        ({"biases": [torch.zeros(16)]}, "a bias for each"),
        ({"biases": [torch.zeros(16), torch.zeros(4)]}, "bias 1 must be"),
        ({"matmul_dtype": "float16"}, "in float32 or bfloat16, not float16"),
        (
            {
                "features": torch.zeros(4, 8).double(),
                "weights": [torch.zeros(3, 8).double()],
                "matmul_dtype": "bfloat16",
            },
            "for float32 features",
        ),
        ({"backend": "quick"}, "auto, native or torch"),
    ],
)
def test_refuses_arguments_that_do_not_fit_together(change, message):
    arguments = {"features": torch.zeros(4, 8), "weights": [torch.zeros(16, 8), torch.zeros(3, 16)], **change}
    with pytest.raises(ValueError, match=message) as caught:
        mlp(**arguments)
    assert "\n" not in str(caught.value)


# Matrix products in bfloat16.


def rounded_reference(features, weights, activation, biases, grad, exact_first=False):
    """Values and gradients in float64 with every factor of a product rounded to bfloat16, as in the kernel.

    exact_first: except for the products of the first matrix.
    """

    def rounded(tensor, layer=None):
        return tensor.detach() if exact_first and layer == 0 else tensor.detach().float().bfloat16().double()

    shape = SHAPES[activation]
    inputs, sums, outputs, h = [], [], [], features
    for i, (w, b) in enumerate(zip(weights, biases)):
        inputs.append(rounded(h, i))
        h = inputs[-1] @ rounded(w, i).T + b
        if i + 1 < len(weights):
            # The kernel takes the slope of a ReLU from the rounded output, so both are zero together.
            z = (rounded(h) if activation == "relu" else h).requires_grad_()
            sums.append(z)
            outputs.append(activate(z, activation, shape.omega if i else shape.first_omega, shape.scale))
            h = outputs[-1]
    values, by_weights, by_biases = h, [], []
    for i in reversed(range(len(weights))):
        by_weights.insert(0, rounded(grad, i).T @ inputs[i])
        by_biases.insert(0, rounded(grad, i).sum(0))
        grad = rounded(grad, i) @ rounded(weights[i], i)
        if i:
            (grad,) = torch.autograd.grad(outputs[i - 1], sums[i - 1], grad)
    return [values, grad, *by_weights, *by_biases]


@needs_bfloat16
@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a not in ("none", "quadratic")])
@pytest.mark.parametrize("sizes", [(32, 64, 64, 3), (3, 17, 16, 5), (7, 1), (33, 128, 100)])
@pytest.mark.parametrize("exact_first", (False, True))
def test_bfloat16_rounds_the_factors_of_products(sizes, activation, exact_first):
    features, weights, biases = draw(fitting(sizes, activation), 150, True, activation, torch.float32)
    kernel = MlpKernel(SHAPES[activation], "bfloat16", len(weights), exact_first=exact_first)
    values = kernel.forward(features, [*weights, *biases])
    grad = torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    ours = [values, *kernel.backward(features, [*weights, *biases], grad, needs_features=True)]
    doubles = [[t.double() for t in part] for part in (weights, biases)]
    exact = rounded_reference(features.double(), doubles[0], activation, doubles[1], grad.double(), exact_first)
    # Sums in another order may round to the other neighbour, which changes one factor by 2^-8.
    assert_all_close(ours, exact, 2e-3, floor=1e-3)


@needs_bfloat16
def test_bfloat16_without_processor_or_kernel_is_refused():
    with instruction_set("baseline"):
        assert "AVX512-BF16" in why_not_matmul_dtype("bfloat16")
        with pytest.raises(ValueError, match="AVX512-BF16.* baseline"):
            mlp(torch.zeros(4, 8), [torch.zeros(3, 8)], matmul_dtype="bfloat16")
    with pytest.raises(ValueError, match="needs the native kernel"):
        mlp(torch.zeros(4, 8), [torch.zeros(3, 8)], matmul_dtype="bfloat16", backend="torch")


# The MLP behind a hash grid.


def grid_case(dimensions=2, features=2, points=150, sizes=(16, 3), dtype=torch.float64, biased=True):
    layout = GridLayout(dimensions, levels=3, features=features, base_resolution=3, growth=1.5, table_size=64)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, points, random, margin=0.02, dtype=dtype)
    table = torch.randn(layout.entries, layout.features, generator=random, dtype=torch.float64).to(dtype)
    _, weights, biases = draw((layout.outputs, *sizes), 1, biased, dtype=dtype)
    return layout, [coords, table, *weights, *(biases or [])]


def grid_functions(layout, matrices, biased, interpolation="linear", **options):
    """`grid_mlp` and its reference as functions of coords, table, matrices and biases in one argument list."""

    def flat(function, **more):
        return lambda coords, table, *p: function(
            coords,
            table,
            p[:matrices],
            layout,
            interpolation=interpolation,
            biases=p[matrices:] if biased else None,
            **more,
        )

    return flat(grid_mlp, **options), flat(grid_mlp_reference)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
@pytest.mark.parametrize("dimensions, features", [(1, 8), (2, 2), (3, 1), (3, 4), (4, 2)])
def test_grid_mlp_and_gradients_match_reference(dimensions, features, interpolation, dtype, tolerance, isa):
    layout, inputs = grid_case(dimensions, features, dtype=dtype)
    native, reference = grid_functions(layout, 2, True, interpolation, backend="native")
    assert_all_close(
        values_and_gradients(native, inputs), values_and_gradients(reference, [t.double() for t in inputs]), tolerance
    )


@pytest.mark.parametrize("points", (0, 1, 4097, 9000))
def test_grid_mlp_with_any_number_of_points_matches_reference(points):
    layout, inputs = grid_case(points=max(points, 1), biased=False)
    inputs[0] = inputs[0][:points]
    native, reference = grid_functions(layout, 2, False)
    assert_all_close(values_and_gradients(native, inputs), values_and_gradients(reference, inputs), 1e-12)


@pytest.mark.parametrize("interpolation", ("linear", "smoothstep"))
def test_grid_mlp_gradients_of_both_orders_match_differences(interpolation):
    layout, inputs = grid_case(points=4, sizes=(4, 2))
    inputs = [t.requires_grad_() for t in inputs]
    native, _ = grid_functions(layout, 2, True, interpolation)
    assert torch.autograd.gradcheck(native, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(native, inputs, fast_mode=True)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 3)])
def test_grid_mlp_computes_only_the_needed_gradients(needed):
    layout, inputs = grid_case(biased=False)
    native, reference = grid_functions(layout, 2, False)

    def gradients(function):
        leaves = [t.clone().requires_grad_(i in needed) for i, t in enumerate(inputs)]
        function(*leaves).square().sum().backward()
        return [t.grad for t in leaves]

    for ours, exact in zip(gradients(native), gradients(reference)):
        assert (ours is None) == (exact is None)
        if ours is not None:
            assert_close(ours, exact, 1e-12)


def test_gradients_of_an_eikonal_loss_match_reference():
    """The loss of a distance field depends on the gradient with respect to the coordinates."""
    layout, inputs = grid_case(3, 2, points=300, sizes=(32, 32, 1), biased=False)
    native, reference = grid_functions(layout, 3, False, "smoothstep")

    def gradients(function):
        leaves = [t.clone().requires_grad_() for t in inputs]
        values = function(*leaves)
        (normal,) = torch.autograd.grad(values.sum(), leaves[0], create_graph=True)
        loss = values.abs().mean() + ((normal.norm(dim=-1) - 1) ** 2).mean()
        return torch.autograd.grad(loss, leaves[1:])

    for ours, exact in zip(gradients(native), gradients(reference)):
        assert_close(ours, exact, 1e-10)


@needs_bfloat16
def test_grid_mlp_in_bfloat16_is_close_to_reference():
    layout, inputs = grid_case(points=500, sizes=(64, 16), dtype=torch.float32)

    # Without activation, because rounding may move a unit to the other side of a kink.
    def native(coords, table, *parameters):
        return grid_mlp(
            coords,
            table,
            parameters[:2],
            layout,
            activation="none",
            biases=parameters[2:],
            matmul_dtype="bfloat16",
        )

    def reference(coords, table, *parameters):
        return grid_mlp_reference(coords, table, parameters[:2], layout, activation="none", biases=parameters[2:])

    assert_all_close(values_and_gradients(native, inputs), values_and_gradients(reference, inputs), 2e-2)


def test_grid_mlp_with_backend_torch_equals_reference():
    layout, inputs = grid_case()
    chosen, reference = grid_functions(layout, 2, True, backend="torch")
    assert_all_close(values_and_gradients(chosen, inputs), values_and_gradients(reference, inputs), 1e-14)
    with pytest.raises(ValueError, match="matrix 0 must be"):
        grid_mlp(inputs[0], inputs[1], [torch.zeros(4, 5, dtype=torch.float64)], layout)
    assert cuda_ext.why_absent("cpu") is None
