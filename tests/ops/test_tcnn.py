"""tiny-cuda-nn's parameter layout and its use by a field, with a stand-in of its documented interface."""

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
    layout = GridLayout(2, levels=levels, features=features, base_resolution=3, growth=1.5, table_size=64)
    random = torch.Generator().manual_seed(0)
    table = torch.randn(layout.entries, features, generator=random)
    all_sizes = [layout.outputs, *sizes]
    return layout, all_sizes, table, [torch.randn(b, a, generator=random) for a, b in zip(all_sizes, all_sizes[1:])]


def test_parameters_have_the_documented_layout():
    """Matrices [out, in] from the features on, with features and outputs padded to 16, then the table."""
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
def test_conversion_to_parameters_and_back_keeps_table_and_weights(features, levels, sizes):
    layout, sizes, table, weights = case(features, levels, sizes)
    back_table, back_weights = tcnn.from_params(tcnn.to_params(table, weights), layout, sizes)
    assert torch.equal(back_table, table)
    assert all(torch.equal(a, b) for a, b in zip(back_weights, weights, strict=True))
    with pytest.raises(ValueError, match="parameters in tiny-cuda-nn, not"):
        tcnn.from_params(torch.zeros(7), layout, sizes)


class StandIn(torch.nn.Module):
    """Module with the documented interface of tiny-cuda-nn's, in plain torch with outputs in float16."""

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
            levels=e["n_levels"],
            features=e["n_features_per_level"],
            base_resolution=e["base_resolution"],
            growth=e["per_level_scale"],
            table_size=1 << e["log2_hashmap_size"],
            kind=e["type"].lower(),
        )
        self.interpolation = e["interpolation"].lower()
        hidden, width, encoded = n["n_hidden_layers"], n["n_neurons"], -(-self.layout.outputs // 16) * 16
        self.shapes = [(width, encoded), *[(width, width)] * (hidden - 1), (-(-n_output_dims // 16) * 16, width)]
        self.outputs = n_output_dims
        self.params = torch.nn.Parameter(torch.zeros(sum(a * b for a, b in self.shapes) + self.layout.num_parameters))

    def forward(self, coords):
        *matrices, table = self.params.split([*(a * b for a, b in self.shapes), self.layout.num_parameters])
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


def image_field(**options):
    domain = Domain((Axis("x", 0.0, 64.0, "px", 64), Axis("y", 0.0, 64.0, "px", 64)))
    method = make_method(
        "hashgrid", {"table_size": 256, "growth": 1.5, "levels": 4, "batch": 64, "backend": "tcnn", **options}
    )
    return method.build(domain, Channels(("r", "g", "b"), space="srgb"), 0), method


def test_values_and_gradients_match_reference(installed):
    layout, _, table, weights = case()
    leaves = [t.requires_grad_() for t in (table, *weights)]
    coords = torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    values = tcnn.TcnnModel(layout, interpolation="linear", width=32, hidden_layers=2, outputs=3)(
        coords, table, weights
    )
    expected = grid_mlp_reference(coords, table, weights, layout)
    assert values.dtype == torch.float32
    assert_close(values.detach(), expected.detach(), 2e-3)
    ours = torch.autograd.grad(values.sum(), leaves)
    for a, b in zip(ours, torch.autograd.grad(expected.sum(), leaves)):
        assert_close(a, b, 2e-3)


def test_field_with_the_accelerator_gives_the_same_values(installed, monkeypatch):
    field, _ = image_field()
    coords = torch.rand(50, 2)
    plain = field(coords).detach()
    # Pretend that there is a GPU; the stand-in computes on any device.
    monkeypatch.setattr(GridField, "_why_not_tcnn", lambda self: None)
    assert field.backend == "tcnn" and field.fused_step("l2") is None
    assert_close(field(coords.reshape(5, 10, 2)).detach().reshape(50, 3), plain, 2e-3)
    assert set(field.state_dict()) == {
        "encoder.table",
        *(f"network.hidden.{i}.weight" for i in range(2)),
        "network.output.weight",
    }


def test_absent_accelerator_refuses_training_but_not_evaluation(monkeypatch):
    # Importing a module that is None fails.
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    tcnn.why_absent.cache_clear()
    try:
        field, _ = image_field()
        with pytest.raises(
            BadInput, match="backend=tcnn: tiny-cuda-nn .* does not import.*use .*backend=auto"
        ) as caught:
            field.fused_step("l2")
        assert "\n" not in str(caught.value)
        # A checkpoint can still be evaluated.
        assert field(torch.rand(5, 2)).shape == (5, 3) and field.backend != "tcnn"
    finally:
        tcnn.why_absent.cache_clear()


def test_reasons_against_the_accelerator(installed):
    layout, _, _, weights = case()
    assert "on the cpu" in tcnn.why_not(layout, weights, "cpu")
    assert tcnn.why_not(layout, weights, "cuda") is None
    assert "not [48]" in tcnn.why_not(layout, case(sizes=(48, 48, 3))[3], "cuda")


def test_matmul_dtype_needs_the_native_kernels():
    with pytest.raises(BadInput, match="matmul_dtype=bfloat16 needs the native kernels"):
        make_method("hashgrid", {"backend": "tcnn", "matmul_dtype": "bfloat16"})
