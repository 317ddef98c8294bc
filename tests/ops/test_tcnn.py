"""tiny-cuda-nn's layout of the numbers, and the way to it, with a stand-in that has its documented form."""

import sys
import types

import pytest
import torch
from ops_helpers import assert_close

from fields.methods.registry import make_method
from fields.models.hash_grid import GridField
from fields.ops import tcnn
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp_reference
from fields.ops.hash_grid import hash_grid_reference
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput


def case(features=2, levels=3, sizes=(32, 32, 3)):
    layout = GridLayout(2, levels, features, 3, 1.5, 64)
    random = torch.Generator().manual_seed(0)
    table = torch.randn(layout.entries, features, generator=random)
    all_sizes = [layout.outputs, *sizes]
    return layout, all_sizes, table, [torch.randn(b, a, generator=random) for a, b in zip(all_sizes, all_sizes[1:])]


def test_layout_is_the_documented_one():
    """Number by number: matrices [out, in] from the features on, features and outputs padded to 16, then the table."""
    layout, sizes, table, weights = case()
    params = tcnn.to_params(table, weights)
    at = 0
    for weight, rows, columns in zip(weights, (32, 32, 16), (16, 32, 32)):
        for row in range(rows):
            for column in range(columns):
                inside = row < weight.shape[0] and column < weight.shape[1]
                assert params[at] == (weight[row, column] if inside else 0.0)
                at += 1
    assert torch.equal(params[at:], table.flatten())


@pytest.mark.parametrize(
    "features, levels, sizes", [(2, 3, (32, 32, 3)), (8, 2, (16, 16)), (4, 8, (64, 64, 64, 17)), (1, 1, (128, 1))]
)
def test_round_trip(features, levels, sizes):
    layout, sizes, table, weights = case(features, levels, sizes)
    back_table, back_weights = tcnn.from_params(tcnn.to_params(table, weights), layout, sizes)
    assert torch.equal(back_table, table)
    assert all(torch.equal(a, b) for a, b in zip(back_weights, weights, strict=True))
    with pytest.raises(ValueError, match="parameters in tiny-cuda-nn, not"):
        tcnn.from_params(torch.zeros(7), layout, sizes)


class StandIn(torch.nn.Module):
    """Computes, in plain torch and in half-precision outputs, what the documentation says of such a module."""

    def __init__(self, n_input_dims, n_output_dims, encoding_config, network_config):
        super().__init__()
        e, n = encoding_config, network_config
        assert (e["otype"], n["otype"], n["activation"], n["output_activation"]) == (
            "Grid",
            "FullyFusedMLP",
            "ReLU",
            "None",
        )
        self.layout = GridLayout(
            n_input_dims,
            e["n_levels"],
            e["n_features_per_level"],
            e["base_resolution"],
            e["per_level_scale"],
            1 << e["log2_hashmap_size"],
            e["type"].lower(),
        )
        self.interpolation = e["interpolation"].lower()
        hidden, width, encoded = n["n_hidden_layers"], n["n_neurons"], -(-self.layout.outputs // 16) * 16
        self.shapes = [(width, encoded), *[(width, width)] * (hidden - 1), (-(-n_output_dims // 16) * 16, width)]
        self.outputs = n_output_dims
        self.params = torch.nn.Parameter(torch.zeros(sum(a * b for a, b in self.shapes) + self.layout.parameters))

    def forward(self, coords):
        *matrices, table = self.params.split([*(a * b for a, b in self.shapes), self.layout.parameters])
        h = hash_grid_reference(coords, table.reshape(self.layout.entries, -1), self.layout, self.interpolation)
        h = torch.nn.functional.pad(h, (0, self.shapes[0][1] - h.shape[1]))
        for index, (matrix, shape) in enumerate(zip(matrices, self.shapes)):
            h = h @ matrix.reshape(shape).T
            h = torch.relu(h) if index + 1 < len(self.shapes) else h
        return h[:, : self.outputs].half()


@pytest.fixture
def installed(monkeypatch):
    module = types.ModuleType("tinycudann")
    module.NetworkWithInputEncoding = StandIn
    monkeypatch.setitem(sys.modules, "tinycudann", module)
    tcnn.why_absent.cache_clear()
    yield
    tcnn.why_absent.cache_clear()


def picture_field(**options):
    domain = Domain((Axis("x", 0.0, 64.0, "px", 64), Axis("y", 0.0, 64.0, "px", 64)))
    method = make_method(
        "hashgrid", {"table_size": 256, "growth": 1.5, "levels": 4, "batch": 64, "backend": "tcnn", **options}
    )
    return method.build(domain, Channels(("r", "g", "b"), space="srgb"), 0), method


def test_values_and_gradients_come_back(installed):
    layout, _, table, weights = case()
    leaves = [t.requires_grad_() for t in (table, *weights)]
    coords = torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    values = tcnn.TcnnModel(layout, "linear", 32, 2, 3)(coords, table, weights)
    expected = grid_mlp_reference(coords, table, weights, layout)
    assert values.dtype == torch.float32
    assert_close(values.detach(), expected.detach(), 2e-3)
    ours = torch.autograd.grad(values.sum(), leaves)
    for a, b in zip(ours, torch.autograd.grad(expected.sum(), leaves)):
        assert_close(a, b, 2e-3)


def test_a_field_goes_through_it(installed, monkeypatch):
    field, _ = picture_field()
    coords = torch.rand(50, 2)
    plain = field(coords).detach()
    # As on a GPU; the stand-in computes anywhere.
    monkeypatch.setattr(GridField, "_why_not_tcnn", lambda self: None)
    assert field.backend == "tcnn" and field.fused_step("l2") is None
    assert_close(field(coords.reshape(5, 10, 2)).detach().reshape(50, 3), plain, 2e-3)
    assert set(field.state_dict()) == {
        "encoder.table",
        *(f"network.hidden.{i}.weight" for i in range(2)),
        "network.output.weight",
    }


def test_where_it_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # importing it fails
    tcnn.why_absent.cache_clear()
    try:
        field, _ = picture_field()
        with pytest.raises(
            BadInput, match="backend=tcnn: tiny-cuda-nn .* does not import.*use --set backend=auto"
        ) as caught:
            field.fused_step("l2")
        assert "\n" not in str(caught.value)
        # A checkpoint can still be looked at.
        assert field(torch.rand(5, 2)).shape == (5, 3) and field.backend != "tcnn"
    finally:
        tcnn.why_absent.cache_clear()


def test_what_it_cannot_serve(installed):
    layout, _, _, weights = case()
    assert "on the cpu" in tcnn.why_not(layout, weights, "cpu")
    assert tcnn.why_not(layout, weights, "cuda") is None
    assert "not [48]" in tcnn.why_not(layout, case(sizes=(48, 48, 3))[3], "cuda")


def test_products_need_kernels():
    with pytest.raises(BadInput, match="products=bfloat16 needs the native kernels"):
        make_method("hashgrid", {"backend": "tcnn", "products": "bfloat16"})
