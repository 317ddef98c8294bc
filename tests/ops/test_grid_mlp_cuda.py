"""Grid and MLP in one CUDA kernel against the reference: on a GPU if there is one, and compiled for the CPU anywhere.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them.
"""

import sys

import pytest
import torch
from cuda_helpers import HOST, call_on_host, compiled_for_host, declared_functions, on_gpu
from ops_helpers import assert_close

from fields.ops import grid_mlp_cuda, hash_grid_cuda
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp, grid_mlp_reference
from fields.ops.mlp import ActivationShape, MlpKernel


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "grid_mlp")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(
        sys.modules["fields.ops.hash_grid"], "_run", lambda name, call, _: hash_grid_cuda.run(name, call, HOST)
    )
    for module in (grid_mlp_cuda.functions, grid_mlp_cuda.mlp_cuda.functions):
        run, workspace = module.run, module.workspace
        monkeypatch.setattr(module, "run", lambda name, call, _, run=run, **options: run(name, call, HOST, **options))
        monkeypatch.setattr(
            module, "workspace", lambda name, _, *rest, workspace=workspace: workspace(name, HOST, *rest)
        )
    return "cpu"


def draw(dimensions, levels, widths, points, device, seed=0):
    """Layout, and random coords, table, gradient of the values and weights."""
    random = torch.Generator().manual_seed(seed)
    layout = GridLayout(dimensions, levels=levels, features=2, base_resolution=5, growth=1.6, table_size=1 << 9)
    sizes = [layout.outputs, *widths]
    table = torch.randn(layout.entries, 2, generator=random)
    weights = [1.5 * torch.randn(b, a, generator=random) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:])]
    coords, grad = torch.rand(points, dimensions, generator=random), torch.randn(points, sizes[-1], generator=random)
    return layout, *(t.to(device) for t in (coords, table, grad)), [w.to(device) for w in weights]


def reference(layout, interpolation, activation, coords, table, grad, weights):
    """Values and gradients in float32, because in float64 a point may lie in another cell of a fine level."""
    leaves = [t.clone().requires_grad_() for t in (coords, table, *weights)]
    values = grid_mlp_reference(
        leaves[0], leaves[1], leaves[2:], layout, interpolation=interpolation, activation=activation
    )
    return [values.detach(), *torch.autograd.grad(values, leaves, grad)]


def ours(layout, interpolation, kernel, coords, table, grad, weights):
    """Values and gradients of the kernel."""
    call = {"coords": coords, "table": table, "parameters": weights}
    values = grid_mlp_cuda.forward(layout, interpolation, kernel, **call)
    gradients = grid_mlp_cuda.backward(layout, interpolation, kernel, **call, grad=grad, needs=(True, True))
    return [values, *gradients]


@pytest.mark.parametrize(
    "dimensions, levels, widths, points, interpolation, activation",
    [
        (2, 16, (64, 64, 3), 70, "linear", "relu"),
        (3, 7, (32, 5), 300, "smoothstep", "sine"),
        (4, 3, (16, 16, 1), 17, "linear", "none"),
        (3, 8, (128, 20), 1, "linear", "relu"),
        (2, 1, (16, 2), 129, "linear", "relu"),
        (2, 5, (16, 2), 40, "linear", "softplus"),
    ],
)
def test_grid_mlp_and_gradients_match_reference(dimensions, levels, widths, points, interpolation, activation, device):
    layout, coords, table, grad, weights = draw(dimensions, levels, widths, points, device)
    kernel = MlpKernel(ActivationShape(activation), "float32", len(weights))
    assert grid_mlp_cuda.serves(layout, kernel, table, weights)
    for index, (a, b) in enumerate(
        zip(
            ours(layout, interpolation, kernel, coords, table, grad, weights),
            reference(layout, interpolation, activation, coords, table, grad, weights),
            strict=True,
        )
    ):
        assert_close(a, b, 2e-4 if activation == "sine" else 1e-5, f"result {index}", floor=1e-3)


def test_float16_products_are_close_to_reference(device):
    layout, coords, table, grad, weights = draw(3, 8, (64, 3), 150, device)
    kernel = MlpKernel(ActivationShape("none"), "float16", 2)
    for a, b in zip(
        ours(layout, "linear", kernel, coords, table, 1e-9 * grad, weights),
        reference(layout, "linear", "none", coords, table, 1e-9 * grad, weights),
    ):
        assert_close(a, b, 6e-3)


def test_gradients_that_are_not_needed_are_none(device):
    layout, coords, table, grad, weights = draw(2, 4, (16, 2), 40, device)
    kernel = MlpKernel(ActivationShape("relu"), "float32", 2)

    def gradients(needs):
        return grid_mlp_cuda.backward(
            layout, "linear", kernel, coords=coords, table=table, parameters=weights, grad=grad, needs=needs
        )

    table_alone = gradients((False, True))
    assert table_alone[0] is None and table_alone[1] is not None
    assert gradients((False, False))[:2] == [None, None]


def test_grids_that_the_kernel_does_not_serve(device):
    layout, coords, table, grad, weights = draw(2, 4, (16, 2), 40, device)
    kernel = MlpKernel(ActivationShape("relu"), "float32", 2)
    assert not grid_mlp_cuda.serves(
        GridLayout(1, levels=4, features=2, base_resolution=5, growth=1.6, table_size=1 << 9), kernel, table, weights
    )
    assert not grid_mlp_cuda.serves(
        GridLayout(2, levels=4, features=4, base_resolution=5, growth=1.6, table_size=1 << 9), kernel, table, weights
    )
    assert not grid_mlp_cuda.serves(layout, kernel, table.double(), weights)
    wrong = GridLayout(2, levels=3, features=2, base_resolution=5, growth=1.6, table_size=1 << 9)
    with pytest.raises(RuntimeError, match="a grid and its MLP failed on the GPU"):
        grid_mlp_cuda.forward(wrong, "linear", kernel, coords=coords, table=table, parameters=weights)


@on_gpu
def test_operation_matches_reference_and_can_be_differentiated_twice():
    layout, coords, table, grad, weights = draw(3, 8, (32, 3), 100, "cuda")
    coords.requires_grad_()
    values = grid_mlp(coords, table, weights, layout)
    (slope,) = torch.autograd.grad(values, coords, grad, create_graph=True)
    assert slope.requires_grad and torch.allclose(
        values.detach(), reference(layout, "linear", "relu", coords.detach(), table, grad, weights)[0], atol=1e-4
    )


def test_signatures_match_the_header():
    assert declared_functions("grid_mlp.h") == grid_mlp_cuda.SIGNATURES
