"""Updates of matrices in which all directions count alike."""

import pytest
import torch

from fields.ops.adam import Adam
from fields.ops.muon import muon, orthogonalized


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (40, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_values_become_about_one_and_directions_stay(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(shape[0], 16, generator=generator, dtype=dtype))
    v, _ = torch.linalg.qr(torch.randn(shape[1], 16, generator=generator, dtype=dtype))
    values = torch.logspace(0, -1.5, 16, dtype=dtype)
    found = orthogonalized(u @ torch.diag(values) @ v.T).to(dtype)
    assert found.shape == shape
    inner = u.T @ found @ v
    assert inner.diag().min() > 0.6 and inner.diag().max() < 1.3
    assert (inner - torch.diag(inner.diag())).abs().max() < 0.05


def test_no_gradient_is_no_step():
    weight = torch.ones(16, 16)
    muon(weight, torch.zeros(16, 16), mean=torch.zeros(16, 16), lr=0.1, decay=0.9)
    assert torch.equal(weight, torch.ones(16, 16))


def test_elements_change_by_about_the_rate():
    weight = torch.zeros(64, 32)
    gradient = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)) * 1e-6
    mean = torch.zeros(64, 32)
    muon(weight, gradient, mean=mean, lr=1e-3, decay=0.9)
    assert float(weight.square().mean().sqrt()) == pytest.approx(1e-3, rel=0.4)
    assert float((weight * gradient).sum()) < 0
    assert torch.allclose(mean, 0.1 * gradient)


def test_state_goes_on():
    def trained(steps, state=None, weight=None):
        weight = torch.eye(16, requires_grad=True) if weight is None else weight
        optimizer = Adam([{"params": [weight], "lr": 1e-2, "orthogonal": True}])
        if state is not None:
            optimizer.load_state_dict(state)
        for step in steps:
            weight.grad = torch.randn(16, 16, generator=torch.Generator().manual_seed(step))
            optimizer.step()
        return weight, optimizer.state_dict()

    whole, _ = trained(range(4))
    half, state = trained(range(2))
    assert set(state[0]) == {"mean"}
    rest, _ = trained(range(2, 4), state, half.detach().clone().requires_grad_())
    assert torch.equal(whole, rest)
