"""The networks that a method may have in place of its MLP."""

from typing import get_args

import numpy as np
import pytest
import scipy.interpolate
import torch

from fields.methods.heads import Head, HeadShape, build_head, head_parameters
from fields.networks.kan import FUNCTIONS, KanLayer

HEADS = get_args(Head)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("inputs", "width", "layers", "outputs"), [(5, 16, 1, 3), (32, 8, 3, 1)])
def test_heads_are_counted_and_give_values_and_gradients(head, inputs, width, layers, outputs):
    shape = HeadShape(inputs, width, layers, outputs, bias=True)
    network = build_head(head, shape, generator())
    assert sum(p.numel() for p in network.parameters()) == head_parameters(head, shape)
    values = network(torch.randn(7, inputs, generator=generator()))
    assert values.shape == (7, outputs) and values.isfinite().all()
    (values**2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("head", [head for head in HEADS if head != "linear"])
def test_heads_learn_a_function_of_two_variables(head):
    network = build_head(head, HeadShape(2, 16, 2, 1, bias=True), generator())
    x = torch.rand(2000, 2, generator=generator()) * 2 - 1
    target = torch.sin(3 * x[:, :1]) * x[:, 1:]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (network(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.03 * target.var()


def test_splines_equal_scipys_and_sum_to_one_inside():
    layer = KanLayer(1, 1, "spline", generator())
    x = torch.linspace(-3, 3, 121, dtype=torch.float64)
    values = layer.functions(x[:, None]).numpy()
    knot = 4 / (FUNCTIONS - 3)
    knots = (np.arange(FUNCTIONS + 4) - (FUNCTIONS + 3) / 2) * knot
    expected = np.stack(
        [
            np.nan_to_num(scipy.interpolate.BSpline.basis_element(knots[k : k + 5], extrapolate=False)(x.numpy()))
            for k in range(FUNCTIONS)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(values, expected, atol=1e-9)
    inside = np.abs(x.numpy()) <= 2
    np.testing.assert_allclose(values[inside].sum(-1), 1.0, atol=1e-9)


def test_hourglass_starts_as_a_linear_map_and_quadratic_as_an_mlp():
    x = torch.randn(9, 6, generator=generator())
    hourglass = build_head("hourglass", HeadShape(6, 8, 3, 2, bias=True), generator())
    torch.testing.assert_close(hourglass(x), hourglass.output(hourglass.enter(x)))
    quadratic = build_head("quadratic", HeadShape(6, 8, 1, 2, bias=True), generator())
    torch.testing.assert_close(quadratic(x), quadratic.output(torch.relu(quadratic.hidden[0].linear(x))))


def test_refuses_an_unknown_basis():
    with pytest.raises(ValueError, match="spline or gaussian"):
        KanLayer(2, 2, "fourier", generator())
