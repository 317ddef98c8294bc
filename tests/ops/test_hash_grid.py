"""The native hash grid against its reference in plain torch, and the reference against stored values."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import (
    INTERPOLATIONS,
    KINDS,
    all_orders,
    assert_close,
    available_isas,
    inner_points,
    instruction_set,
    small_layout,
)

import cuda_ext
from fields.ops import backends
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_hash_grid_and_gradients_match_reference(dimensions, features, kind, interpolation, isa):
    layout = small_layout(dimensions, features, kind)
    # Some points lie outside the unit cube, and their number is not a multiple of a block.
    coords = torch.rand(137, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    native = all_orders(layout, interpolation, "native", torch.float64, coords)
    reference = all_orders(layout, interpolation, "torch", torch.float64, coords)
    for name in reference:
        assert_close(native[name], reference[name], 1e-12, name)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (2, 4), (3, 2), (3, 8), (4, 2)])
def test_float32_matches_float64_reference(dimensions, features, interpolation, isa):
    layout = GridLayout(dimensions, levels=4, features=features, base_resolution=4, growth=1.5, table_size=1 << 7)
    coords = inner_points(layout, 500, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32)
    single = all_orders(layout, interpolation, "native", torch.float32, coords)
    exact = all_orders(layout, interpolation, "torch", torch.float64, coords.double())
    for name in exact:
        assert_close(single[name].double(), exact[name], 2e-5, name)


# Relative rounding error of each dtype.
REDUCED_PRECISION = {torch.float16: 1e-3, torch.bfloat16: 8e-3}


@pytest.mark.parametrize("dtype", REDUCED_PRECISION)
@pytest.mark.parametrize("interpolation, kind", [("linear", "dense"), ("linear", "hash"), ("smoothstep", "tiled")])
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (2, 4), (3, 1), (3, 2), (3, 8), (4, 2)])
def test_tables_of_reduced_precision_match_float64_reference(dimensions, features, interpolation, kind, dtype, isa):
    layout = small_layout(dimensions, features, kind)
    coords = inner_points(layout, 300, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32)
    reduced = all_orders(layout, interpolation, "native", torch.float32, coords, rounded=dtype, reduced=True)
    exact = all_orders(layout, interpolation, "torch", torch.float64, coords.double(), rounded=dtype)
    for name in exact:
        expected_dtype = dtype if name in ("grad table", "second table") else torch.float32
        assert reduced[name].dtype == expected_dtype, name
        # The table's gradient is rounded in the end, and so are the second-order gradients that depend on it.
        tolerance = 2e-5 if name in ("features", "grad coords") else REDUCED_PRECISION[dtype]
        assert_close(reduced[name].double(), exact[name], tolerance, name)


@pytest.mark.parametrize("dtype", REDUCED_PRECISION)
@pytest.mark.parametrize("features", (1, 2, 8))
def test_every_value_of_reduced_precision_is_read_exactly(features, dtype, isa):
    layout = GridLayout(1, levels=64, features=features, base_resolution=2, growth=1.0, table_size=8)
    values = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(dtype)
    values = values[values.isfinite()]
    constants = torch.cat([values, values.new_zeros(-len(values) % layout.outputs)]).view(
        -1, layout.levels, 1, features
    )
    # At a grid point, only one corner has a weight.
    coords = torch.full((70, 1), 0.5)
    for rows in constants:
        table = rows.expand(-1, 8, -1).reshape(layout.entries, features).contiguous()
        encoded = hash_grid(coords, table, layout, backend="native")
        assert torch.equal(encoded, rows.float().reshape(1, -1).expand(70, -1))
    not_finite = torch.tensor([float("inf"), -float("inf"), float("nan")], dtype=dtype)
    for value in not_finite:
        encoded = hash_grid(torch.rand(70, 1), value.expand(layout.entries, features), layout, backend="native")
        torch.testing.assert_close(encoded, value.float().expand(70, layout.outputs), equal_nan=True)


def test_float32_finds_the_same_cells_as_reference(isa):
    # In fine levels, a position that is rounded differently would lie in the neighbouring cell.
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    random = torch.Generator().manual_seed(0)
    coords, table = torch.rand(20000, 2, generator=random), torch.randn(layout.entries, 2, generator=random)
    assert_close(
        hash_grid(coords, table, layout, backend="native"), hash_grid(coords, table, layout, backend="torch"), 1e-6
    )
    # On and beside cell borders that float32 represents exactly.
    for bits in range(1, 24):
        step = 2.0**-bits
        coords = torch.tensor([[step, 1 - step], [0.5 - step, 0.5 + step]])
        assert_close(
            hash_grid(coords, table, layout, backend="native"), hash_grid(coords, table, layout, backend="torch"), 1e-6
        )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions", (1, 2, 3))
def test_gradients_of_both_orders_match_differences(dimensions, interpolation, isa):
    layout = GridLayout(dimensions, levels=2, features=2, base_resolution=2, growth=1.7, table_size=16)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, 5, random, margin=0.05).requires_grad_()
    table = torch.randn(layout.entries, 2, dtype=torch.float64, generator=random).requires_grad_()

    def function(coords, table):
        return hash_grid(coords, table, layout, interpolation, backend="native")

    assert torch.autograd.gradcheck(function, (coords, table))
    assert torch.autograd.gradgradcheck(function, (coords, table))


def test_gradient_of_an_eikonal_loss_matches_differences(isa):
    """The gradient with respect to the table of |d features / d coords|^2."""
    layout = GridLayout(3, levels=2, features=2, base_resolution=3, growth=1.5, table_size=32)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, 7, random).requires_grad_()
    table = torch.randn(layout.entries, 2, dtype=torch.float64, generator=random).requires_grad_()

    def loss(table):
        features = hash_grid(coords, table, layout, "smoothstep", backend="native")
        return torch.autograd.grad(features.sum(), coords, create_graph=True)[0].square().sum()

    (gradient,) = torch.autograd.grad(loss(table), table)
    direction = torch.randn(table.shape, dtype=torch.float64, generator=random)
    step = 1e-5
    numeric = (loss(table + step * direction) - loss(table - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-7, atol=0)


def test_features_of_a_line_by_hand(isa):
    """One level of two grid points has scale 1, so the position is x + 0.5."""
    layout = GridLayout(1, levels=1, features=1, base_resolution=2, growth=1.0, table_size=8)
    table = torch.tensor([[10.0], [20.0], [40.0], [0.0], [0.0], [0.0], [0.0], [0.0]])
    coords = torch.tensor([[0.0], [0.25], [0.5], [1.0]])
    for backend in ("native", "torch"):
        linear = hash_grid(coords, table, layout, "linear", backend=backend)
        assert linear.flatten().tolist() == [15.0, 17.5, 20.0, 30.0]
        smooth = hash_grid(coords, table, layout, "smoothstep", backend=backend)
        assert smooth.flatten().tolist() == [15.0, 18.4375, 20.0, 30.0]


def test_hashed_row_by_hand():
    """The row of a 3-D grid point, from the hash of Müller et al. 2022, equation 4."""
    layout = GridLayout(3, levels=1, features=1, base_resolution=1024, growth=1.0, table_size=1 << 10)
    table = torch.arange(1 << 10, dtype=torch.float64).unsqueeze(1)
    cell = (700, 33, 512)
    # At a grid point, only one corner has a weight.
    coords = torch.tensor([[(c - 0.5) / 1023.0 for c in cell]], dtype=torch.float64)
    row = (700 ^ (33 * 2654435761) ^ (512 * 805459861)) % 1024
    for backend in ("native", "torch"):
        assert hash_grid(coords, table, layout, "linear", backend=backend).item() == pytest.approx(row, abs=1e-6)


# Features for table[i, f] = sin(i + f / 2) and coords[n] = frac(n * (0.618, 0.414, 0.732)), stored when the reference
# was first checked.
GOLDEN = {
    ("hash", "linear"): [
        0.3299194428,
        0.1606732756,
        0.5718049188,
        0.6274578808,
        0.4272619491,
        0.0930184541,
        -0.1545130737,
        0.1043387191,
    ],
    ("hash", "smoothstep"): [
        0.3246897847,
        0.0944115723,
        0.5958454160,
        0.6172750717,
        0.4606636987,
        -0.1043379931,
        -0.2810604475,
        0.0033349720,
    ],
    ("tiled", "linear"): [
        0.3651603074,
        0.2395196534,
        -0.9288608387,
        -0.9531046338,
        -0.5451036956,
        -0.9427520571,
        -0.9943973965,
        -0.9612286291,
    ],
}


def golden_case(kind):
    layout = GridLayout(3, levels=4, features=2, base_resolution=3, growth=1.7, table_size=64, kind=kind)
    rows = torch.arange(layout.entries, dtype=torch.float64)
    table = torch.sin(rows[:, None] + torch.tensor([0.0, 0.5]))
    coords = (torch.arange(1, 4, dtype=torch.float64)[:, None] * torch.tensor([0.618, 0.414, 0.732])) % 1.0
    return layout, table, coords


@pytest.mark.parametrize("kind, interpolation", GOLDEN)
@pytest.mark.parametrize("backend", ("native", "torch"))
def test_features_match_stored_values(kind, interpolation, backend):
    layout, table, coords = golden_case(kind)
    features = hash_grid(coords, table, layout, interpolation, backend=backend)
    expected = torch.tensor(GOLDEN[kind, interpolation], dtype=torch.float64)
    torch.testing.assert_close(features.sum(0), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0, 2), (2,), (5, 2), (2, 3, 4, 2)])
@pytest.mark.parametrize("backend", ("native", "torch"))
def test_leading_shape_is_kept_and_may_be_empty(shape, backend):
    layout = small_layout(2)
    coords = torch.rand(shape, requires_grad=True)
    table = torch.randn(layout.entries, 2, requires_grad=True)
    features = hash_grid(coords, table, layout, backend=backend)
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape and table.grad.shape == table.shape
    if coords.numel() == 0:
        assert table.grad.abs().sum() == 0


def test_tensors_need_not_be_contiguous():
    layout = small_layout(2)
    coords = torch.rand(2, 50, dtype=torch.float64).T.requires_grad_()
    table = torch.randn(2, layout.entries, dtype=torch.float64).T.requires_grad_()
    assert not coords.is_contiguous() and not table.is_contiguous()

    def features_and_gradients(backend):
        features = hash_grid(coords[::2], table, layout, backend=backend)
        # An expanded gradient has stride 0.
        grad = torch.ones(1, 1, dtype=torch.float64).expand(25, 8)
        return features, *torch.autograd.grad(features, (coords, table), grad)

    for native, reference in zip(features_and_gradients("native"), features_and_gradients("torch")):
        assert_close(native, reference, 1e-12)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_coords_outside_have_the_border_features_and_no_gradient(dimensions, interpolation, isa):
    layout = small_layout(dimensions)
    edges = torch.tensor([0.0, 1.0, -0.25, 1.25, -1e30, 1e30, float("inf"), -float("inf"), 0.3], dtype=torch.float64)
    coords = torch.cartesian_prod(*[edges] * dimensions).reshape(-1, dimensions)
    native = all_orders(layout, interpolation, "native", torch.float64, coords)
    reference = all_orders(layout, interpolation, "torch", torch.float64, coords)
    for name in reference:
        assert_close(native[name], reference[name], 1e-12, name)
    outside = (coords < 0) | (coords > 1)
    assert (native["grad coords"][outside] == 0).all()
    clamped = all_orders(layout, interpolation, "native", torch.float64, coords.clamp(0, 1))
    assert torch.equal(native["features"], clamped["features"])
    assert (clamped["grad coords"][coords == 0] != 0).any() and (clamped["grad coords"][coords == 1] != 0).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_nan_coords_give_nan_features_at_those_points_only(dtype, kind, isa):
    layout = small_layout(2, kind=kind)
    table = torch.randn(layout.entries, 2, dtype=dtype, requires_grad=True)
    coords = torch.rand(70, 2, dtype=dtype)
    coords[3, 0] = float("nan")
    coords[66, 1] = float("nan")
    coords.requires_grad_()
    features = hash_grid(coords, table, layout, backend="native")
    bad = features.isnan().any(-1)
    assert bad.nonzero().flatten().tolist() == [3, 66]
    features.sum().backward()
    assert coords.grad.isnan().any(-1).nonzero().flatten().tolist() in ([3, 66], [])


def test_results_are_identical_for_any_number_of_threads(isa):
    layout = GridLayout(3, levels=7, features=2, base_resolution=8, growth=1.5, table_size=1 << 10)
    coords = torch.rand(30000, 3, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2, 3, 7):
            torch.set_num_threads(threads)
            results.append(all_orders(layout, "smoothstep", "native", torch.float32, coords))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(value, other[name]), name


def test_more_threads_than_levels_match_reference():
    layout = GridLayout(2, levels=2, features=2, base_resolution=8, growth=1.5, table_size=1 << 10)
    coords = torch.rand(20000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reference = all_orders(layout, "linear", "torch", torch.float64, coords)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(9)
        native = [all_orders(layout, "linear", "native", torch.float64, coords) for _ in range(2)]
    finally:
        torch.set_num_threads(before)
    for name in reference:
        assert torch.equal(native[0][name], native[1][name])
        assert_close(native[0][name], reference[name], 1e-12, name)


def test_third_derivative_raises():
    layout = small_layout(1)
    coords = torch.rand(4, 1, dtype=torch.float64, requires_grad=True)
    table = torch.randn(layout.entries, 2, dtype=torch.float64)
    value = hash_grid(coords, table, layout, "smoothstep", backend="native").square().sum()
    for _ in range(2):
        value = torch.autograd.grad(value, coords, create_graph=True)[0].square().sum()
    with pytest.raises(RuntimeError, match="no third derivative"):
        value.backward()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coords": torch.rand(5, 3)}, r"coords must be \[\.\.\., 2\]"),
        ({"coords": torch.rand(())}, "coords must be"),
        ({"coords": torch.rand(5, 2).double()}, "one dtype"),
        ({"coords": torch.rand(5, 2, device="meta")}, "one device"),
        ({"table": torch.rand(7, 2)}, "the table must be"),
        ({"table": torch.ones(small_layout(2).entries, 2, dtype=torch.int64)}, "float32 or float64"),
        (
            {"coords": torch.rand(5, 2).double(), "table": torch.ones(small_layout(2).entries, 2).half()},
            "coords must be float32",
        ),
        ({"interpolation": "cubic"}, "linear or smoothstep"),
        ({"backend": "gpu"}, "auto, native or torch"),
    ],
)
def test_refuses_arguments_that_do_not_fit_the_layout(change, message):
    layout = small_layout(2)
    arguments = {"coords": torch.rand(5, 2), "table": torch.rand(layout.entries, 2), "layout": layout, **change}
    with pytest.raises(ValueError, match=message) as caught:
        hash_grid(**arguments)
    assert "\n" not in str(caught.value)


def test_absent_library_is_reported_and_auto_uses_torch(monkeypatch, tmp_path):
    layout = small_layout(2)
    coords, table = torch.rand(5, 2), torch.rand(layout.entries, 2)
    expected = hash_grid(coords, table, layout)
    monkeypatch.setenv("FIELD_STUDIO_NATIVE", str(tmp_path))
    cuda_ext._open.cache_clear()
    try:
        assert "was not built" in backends.why_not_native("cpu")
        assert backends.name("cpu") == "torch"
        with pytest.raises(RuntimeError, match="native backend is absent.*was not built"):
            hash_grid(coords, table, layout, backend="native")
        assert_close(hash_grid(coords, table, layout), expected, 1e-6)
    finally:
        cuda_ext._open.cache_clear()


def test_export_uses_the_reference():
    layout = small_layout(2)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(layout.entries, 2))

        def forward(self, coords):
            return hash_grid(coords, self.table, layout)

    module = Module()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, (torch.rand(7, 2),), dynamic_shapes=({0: batch},)).module()
    coords = torch.rand(11, 2)
    assert_close(exported(coords), hash_grid(coords, module.table, layout, backend="native"), 1e-6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_layouts_and_shapes_match_reference(data):
    dimensions = data.draw(st.integers(1, 4))
    layout = GridLayout(
        dimensions,
        levels=data.draw(st.integers(1, 5)),
        features=data.draw(st.sampled_from((1, 2, 4, 8))),
        base_resolution=data.draw(st.integers(1, 6)),
        growth=data.draw(st.floats(1.0, 2.0)),
        table_size=2 ** data.draw(st.integers(0, 9)),
        kind=data.draw(st.sampled_from(KINDS)),
    )
    shape = data.draw(st.lists(st.integers(0, 70), min_size=0, max_size=2))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    coords = torch.rand(*shape, dimensions, dtype=torch.float64, generator=random)
    interpolation = data.draw(st.sampled_from(INTERPOLATIONS))
    native = all_orders(layout, interpolation, "native", torch.float64, coords)
    reference = all_orders(layout, interpolation, "torch", torch.float64, coords)
    for name in reference:
        assert_close(native[name], reference[name], 1e-11, name, floor=1.0)


@pytest.mark.parametrize("variable, value", [("FIELD_STUDIO_THREADS", "own"), ("FIELD_STUDIO_ISA", "baseline")])
def test_environment_variables_choose_threads_and_instruction_set(variable, value):
    """In a process of its own, because the library reads the variables once."""
    code = (
        "import ctypes, torch, cuda_ext; from fields.ops.grid_layout import GridLayout\n"
        "from fields.ops.hash_grid import hash_grid\n"
        "torch.manual_seed(0); torch.set_num_threads(3); library = cuda_ext.load()\n"
        "library.fs_isa.restype = ctypes.c_char_p\n"
        "layout = GridLayout(2, levels=4, features=2, base_resolution=4, growth=1.5, table_size=64)\n"
        "table = torch.randn(layout.entries, 2).double()\n"
        "coords = torch.rand(20000, 2).double()\n"
        "a, b = (hash_grid(coords, table, layout, backend=x) for x in ('native', 'torch'))\n"
        "assert (a - b).abs().max() < 1e-12\n"
        "print(library.fs_shares_openmp(), library.fs_isa().decode())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, variable: value}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    shares, isa = run.stdout.split()
    assert (shares == "0") if variable == "FIELD_STUDIO_THREADS" else (isa == "baseline")


def test_library_shares_the_threads_of_torch():
    assert cuda_ext.load("cpu").fs_shares_openmp() == 1
    assert "OpenMP" in torch.__config__.parallel_info()
