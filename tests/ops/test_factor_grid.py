"""Native factored grids against the reference in plain torch.

The reference is tested against torch's grid_sample, explicit outer products, and values worked out by hand.
"""

import pytest
import torch
import torch.nn.functional as F
from factor_helpers import LAYOUTS, all_orders, inner_points, uniform
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import assert_close, available_isas, instruction_set

from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import Factor, FactorLayout, canonical, dense_grids, k_planes, tri_plane, vector_matrix


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


@pytest.mark.parametrize("name", LAYOUTS)
def test_factor_grid_and_gradients_match_reference(name, isa):
    layout = LAYOUTS[name]
    # Some points lie outside. There are several tiles, and the last one is not full.
    coords = uniform(700, layout.dimensions, lower=-0.1, upper=1.1)
    native = all_orders(layout, "native", torch.float64, coords)
    reference = all_orders(layout, "torch", torch.float64, coords)
    for order in reference:
        assert_close(native[order], reference[order], 1e-12, order)


@pytest.mark.parametrize("name", LAYOUTS)
def test_float32_matches_float64_reference(name, isa):
    layout = LAYOUTS[name]
    coords = inner_points(layout, 100).float()
    single = all_orders(layout, "native", torch.float32, coords)
    exact = all_orders(layout, "torch", torch.float64, coords.double())
    for order in exact:
        assert_close(single[order].double(), exact[order], 2e-5, order)


@pytest.mark.parametrize("name", ["sum", "concat", "vm", "cp-2", "kplanes-3", "dense-1", "dense-3", "mixed"])
def test_gradients_of_both_orders_match_differences(name, isa):
    layout = LAYOUTS[name]
    coords = inner_points(layout, 4).requires_grad_()
    table = torch.randn(
        layout.entries, layout.features, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()

    def function(coords, table):
        return factor_grid(coords, table, layout, backend="native")

    assert torch.autograd.gradcheck(function, (coords, table), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (coords, table), fast_mode=True)


def test_float32_finds_the_same_cells_as_reference(isa):
    layout = dense_grids(2, [(1000, 777), (129, 65)])
    coords = uniform(20000, 2).float()
    table = torch.randn(layout.entries, 2, generator=torch.Generator().manual_seed(0))
    assert_close(factor_grid(coords, table, layout, "native"), factor_grid(coords, table, layout, "torch"), 1e-6)
    on_nodes = (torch.arange(1000) / 999.0)[:, None].expand(-1, 2)
    assert_close(factor_grid(on_nodes, table, layout, "native"), factor_grid(on_nodes, table, layout, "torch"), 1e-6)


@pytest.mark.parametrize("backend", ("native", "torch"))
@pytest.mark.parametrize("nodes_at_ends", (True, False))
@pytest.mark.parametrize("nodes", [(7,), (7, 5), (7, 5, 6)])
def test_dense_grids_match_grid_sample(nodes, nodes_at_ends, backend):
    layout = dense_grids(3, [nodes], nodes_at_ends)
    table = torch.randn(layout.entries, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coords = uniform(50, len(nodes), lower=-0.2, upper=1.2)
    grid = next(layout.grids(table)).movedim(-1, 0)[None]
    points = coords * 2 - 1
    if len(nodes) == 1:  # grid_sample takes no lines
        grid, points = grid[:, :, None], torch.stack([points[:, 0], torch.zeros(50)], -1)
    expected = (
        F.grid_sample(
            grid,
            points.view(1, *[1] * (grid.ndim - 3), 50, grid.ndim - 2),
            padding_mode="border",
            align_corners=nodes_at_ends,
        )
        .reshape(3, 50)
        .T
    )
    assert_close(factor_grid(coords, table, layout, backend), expected, 1e-12)


@pytest.mark.parametrize("backend", ("native", "torch"))
def test_vector_matrix_matches_an_explicit_outer_product(backend):
    layout = vector_matrix(4, (5, 6, 7))
    table = torch.randn(layout.entries, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    xy, z, xz, y, yz, x = layout.grids(table)
    assert (xy.shape, z.shape) == ((6, 5, 4), (7, 4))
    volumes = [
        torch.einsum("yxr,zr->zyxr", xy, z),
        torch.einsum("zxr,yr->zyxr", xz, y),
        torch.einsum("zyr,xr->zyxr", yz, x),
    ]
    dense = dense_grids(12, [(5, 6, 7)])
    coords = uniform(200, 3)
    expected = factor_grid(coords, torch.cat(volumes, -1).reshape(-1, 12), dense, "torch")
    assert_close(factor_grid(coords, table, layout, backend), expected, 1e-12)


@pytest.mark.parametrize("backend", ("native", "torch"))
def test_lines_and_planes_of_four_axes_match_outer_products(backend):
    nodes = (3, 4, 2, 5)
    dense, coords = dense_grids(2, [nodes]), uniform(100, 4)
    for layout, letters in ((canonical(2, nodes), "x y z t"), (k_planes(2, [nodes]), "yx zx tx zy ty tz")):
        table = torch.randn(layout.entries, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        terms = ",".join(f"{pair}r" for pair in letters.split())
        whole = torch.einsum(f"{terms}->tzyxr", *layout.grids(table)).reshape(-1, 2)
        if layout.factors[0].axes == (0,):
            # Products of lines are multilinear, so the dense grid of the products is the same function everywhere.
            assert_close(factor_grid(coords, table, layout, backend), factor_grid(coords, whole, dense, "torch"), 1e-12)
        corners = torch.cartesian_prod(*[torch.linspace(0, 1, n, dtype=torch.float64) for n in nodes])
        assert_close(factor_grid(corners, table, layout, backend), factor_grid(corners, whole, dense, "torch"), 1e-12)


@pytest.mark.parametrize("backend", ("native", "torch"))
def test_values_at_nodes_between_and_outside_by_hand(backend):
    table = torch.tensor([[1.0], [3.0], [7.0]])
    at_ends = dense_grids(1, [(3,)])
    coords = torch.tensor([[0.0], [0.25], [0.5], [0.75], [1.0], [-5.0], [9.0], [float("inf")]])
    assert factor_grid(coords, table, at_ends, backend).flatten().tolist() == [1.0, 2.0, 3.0, 5.0, 7.0, 1.0, 7.0, 7.0]
    like_pixels = dense_grids(1, [(3,)], nodes_at_ends=False)
    coords = torch.tensor([[0.0], [1 / 6], [0.5], [5 / 6], [1.0], [-5.0]])
    values = factor_grid(coords, table, like_pixels, backend).flatten()
    torch.testing.assert_close(values, torch.tensor([1.0, 1.0, 3.0, 7.0, 7.0, 1.0]))
    plane = tri_plane(2, (1, 1, 1))
    table = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert factor_grid(torch.rand(1, 3), table, plane, backend).tolist() == [[111.0, 222.0]]


@pytest.mark.parametrize("name", ["product", "concat", "dense-2"])
def test_coords_outside_have_the_border_features_and_no_gradient(name, isa):
    layout = LAYOUTS[name]
    edges = torch.tensor([0.0, 1.0, -0.25, 1.25, -1e30, float("inf"), 0.3], dtype=torch.float64)
    coords = torch.cartesian_prod(*[edges] * layout.dimensions)
    native = all_orders(layout, "native", torch.float64, coords)
    reference = all_orders(layout, "torch", torch.float64, coords)
    for order in reference:
        assert_close(native[order], reference[order], 1e-12, order)
    outside = (coords < 0) | (coords > 1)
    assert (native["grad coords"][outside] == 0).all()
    if layout.nodes_at_ends:
        assert (native["grad coords"][coords == 0] != 0).any() and (native["grad coords"][coords == 1] != 0).any()


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_nan_coords_give_nan_features_at_those_points_only(dtype, isa):
    layout = LAYOUTS["sum"]
    coords = uniform(70, 3).to(dtype)
    coords[3, 0] = coords[66, 2] = float("nan")
    table = torch.randn(layout.entries, layout.features, dtype=dtype, requires_grad=True)
    for backend in ("native", "torch"):
        features = factor_grid(coords, table, layout, backend)
        assert features.isnan().any(-1).nonzero().flatten().tolist() == [3, 66]
    factor_grid(coords, table, layout, "native").sum().backward()


@pytest.mark.parametrize("name", ["sum", "kplanes-4", "dense-3"])
def test_results_are_identical_for_any_number_of_threads(name, isa):
    layout = LAYOUTS[name]
    coords = uniform(5000, layout.dimensions).float()
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2, 7):
            torch.set_num_threads(threads)
            results.append(all_orders(layout, "native", torch.float32, coords))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for order, value in results[0].items():
            assert torch.equal(value, other[order]), order


@pytest.mark.parametrize("backend", ("native", "torch"))
@pytest.mark.parametrize("shape", [(0, 3), (3, 0, 3), (3,), (2, 3, 4, 3)])
def test_leading_shape_is_kept_and_may_be_empty(shape, backend):
    layout = LAYOUTS["vm"]
    coords = torch.rand(shape, requires_grad=True)
    table = torch.randn(layout.entries, layout.features, requires_grad=True)
    features = factor_grid(coords, table, layout, backend)
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape and table.grad.shape == table.shape
    assert bool(table.grad.abs().sum() > 0) == bool(coords.numel())


def test_tensors_need_not_be_contiguous():
    layout = LAYOUTS["kplanes-3"]
    coords = torch.rand(3, 50, dtype=torch.float64).T.requires_grad_()
    table = torch.randn(layout.features, layout.entries, dtype=torch.float64).T.requires_grad_()
    grad = torch.ones(1, 1, dtype=torch.float64).expand(25, layout.outputs)
    results = []
    for backend in ("native", "torch"):
        features = factor_grid(coords[::2], table, layout, backend)
        results.append((features, *torch.autograd.grad(features, (coords, table), grad)))
    for native, reference in zip(*results):
        assert_close(native, reference, 1e-12)


def test_third_derivative_raises():
    layout = LAYOUTS["cp-2"]
    coords = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    table = torch.randn(layout.entries, layout.features, dtype=torch.float64)
    value = factor_grid(coords, table, layout, "native").square().sum()
    for _ in range(2):
        value = torch.autograd.grad(value, coords, create_graph=True)[0].square().sum()
    with pytest.raises(RuntimeError, match="no third derivative"):
        value.backward()


def test_gradient_of_an_eikonal_loss_matches_differences(isa):
    """The gradient with respect to the table of |d features / d coords|^2."""
    layout = LAYOUTS["product"]
    coords = inner_points(layout, 7).requires_grad_()
    random = torch.Generator().manual_seed(0)
    table = torch.randn(layout.entries, 3, dtype=torch.float64, generator=random).requires_grad_()

    def loss(table):
        features = factor_grid(coords, table, layout, "native")
        return torch.autograd.grad(features.sum(), coords, create_graph=True)[0].square().sum()

    (gradient,) = torch.autograd.grad(loss(table), table)
    direction = torch.randn(table.shape, dtype=torch.float64, generator=random)
    step = 1e-5
    numeric = (loss(table + step * direction) - loss(table - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-7, atol=0)


def test_export_uses_the_reference():
    layout = LAYOUTS["sum"]

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(layout.entries, layout.features))

        def forward(self, coords):
            return factor_grid(coords, self.table, layout)

    module = Module()
    exported = torch.export.export(
        module, (torch.rand(7, 3),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    coords = torch.rand(11, 3)
    assert_close(exported(coords), factor_grid(coords, module.table, layout, "native"), 1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coords": torch.rand(5, 2)}, r"coords must be \[\.\.\., 3\]"),
        ({"coords": torch.rand(())}, "coords must be"),
        ({"coords": torch.rand(5, 3).double()}, "one dtype"),
        ({"coords": torch.rand(5, 3, device="meta")}, "one device"),
        ({"table": torch.rand(7, 5)}, "the table must be"),
        ({"table": torch.ones(LAYOUTS["sum"].entries, 5, dtype=torch.int64)}, "float32 or float64"),
        ({"backend": "gpu"}, "auto, native or torch"),
    ],
)
def test_refuses_arguments_that_do_not_fit_the_layout(change, message):
    layout = LAYOUTS["sum"]
    arguments = {"coords": torch.rand(5, 3), "table": torch.rand(layout.entries, 5), "layout": layout, **change}
    with pytest.raises(ValueError, match=message) as caught:
        factor_grid(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FactorLayout(5, 1, (((Factor((0,), (2,)),),),)), "1 to 4 dimensions"),
        (lambda: FactorLayout(2, 0, (((Factor((0,), (2,)),),),)), "at least 1 feature"),
        (lambda: FactorLayout(2, 1, ()), "every slot needs"),
        (lambda: FactorLayout(2, 1, (((),),)), "every slot needs"),
        (lambda: FactorLayout(2, 1, (((Factor((0, 0), (2, 2)),),),)), "different axes"),
        (lambda: FactorLayout(2, 1, (((Factor((2,), (2,)),),),)), "dimensions lack"),
        (lambda: FactorLayout(2, 1, (((Factor((0,), (0,)),),),)), "1 to 16,777,216 nodes"),
        (lambda: FactorLayout(1, 1, (((Factor((0,), (2,)),) * 17,),)), "at most 16 factors"),
        (lambda: dense_grids(1, [(2048, 2048, 2048)]), "at most 2,147,483,647"),
        (lambda: tri_plane(1, (2, 2, 2), "mean"), "sum, product or concat"),
    ],
)
def test_refuses_impossible_layouts(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_layouts_and_shapes_match_reference(data):
    dimensions = data.draw(st.integers(1, 4))
    nodes = data.draw(st.lists(st.integers(1, 40 if dimensions < 3 else 7), min_size=dimensions, max_size=dimensions))
    subsets = st.lists(st.integers(0, dimensions - 1), min_size=1, max_size=dimensions, unique=True)
    factor = subsets.map(lambda axes: Factor(tuple(axes), tuple(nodes[a] for a in axes)))
    slot = st.lists(st.lists(factor, min_size=1, max_size=4).map(tuple), min_size=1, max_size=3).map(tuple)
    layout = FactorLayout(
        dimensions,
        data.draw(st.integers(1, 40)),
        tuple(data.draw(st.lists(slot, min_size=1, max_size=3))),
        data.draw(st.booleans()),
    )
    coords = uniform(
        data.draw(st.sampled_from((0, 1, 70, 600))), dimensions, data.draw(st.integers(0, 1000)), -0.1, 1.1
    )
    native = all_orders(layout, "native", torch.float64, coords)
    reference = all_orders(layout, "torch", torch.float64, coords)
    for order in reference:
        assert_close(native[order], reference[order], 1e-11, order, floor=1e-3)
