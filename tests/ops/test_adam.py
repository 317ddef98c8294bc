"""Adam: the native update against the reference, the reference against torch's, and the rule for sparse groups."""

import pytest
import torch
from ops_helpers import available_isas, instruction_set

from fields.ops import adam
from fields.ops.adam import Adam, adam_reference

HYPERPARAMETERS = {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-15}


@pytest.fixture(params=available_isas())
def isa(request):
    with instruction_set(request.param):
        yield request.param


def random_gradients(steps, count, fraction=1.0, seed=0):
    """A gradient per step, of which about `fraction` of the elements are not zero."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        touched = torch.rand(count, generator=generator) < fraction
        yield torch.randn(count, generator=generator) * touched


def initial_moments(weight):
    return {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("count", [1, 15, 1000, 40000])
def test_native_update_matches_reference(isa, sparse, count):
    native, plain = torch.zeros(count), torch.zeros(count, dtype=torch.float64)
    moments = initial_moments(plain)
    steps = torch.zeros(count if sparse else (), dtype=torch.int32)
    optimizer = Adam([{"params": [native], "lr": 0.01, "sparse": sparse}])
    for gradient in random_gradients(20, count, 0.3 if sparse else 1.0):
        native.grad = gradient
        optimizer.step()
        adam_reference(plain, gradient.double(), **moments, steps=steps, **HYPERPARAMETERS, sparse=sparse)
    assert (native - plain).abs().max() < 2e-6
    assert torch.equal(optimizer.state[0]["steps"], steps)


def test_dense_reference_matches_torch_adam():
    weight, expected = torch.zeros(100, dtype=torch.float64), torch.zeros(100, dtype=torch.float64, requires_grad=True)
    moments = initial_moments(weight)
    steps = torch.zeros((), dtype=torch.int32)
    optimizer = torch.optim.Adam([expected], lr=0.01, betas=(0.9, 0.99), eps=1e-15)
    for gradient in random_gradients(30, 100):
        adam_reference(weight, gradient.double(), **moments, steps=steps, **HYPERPARAMETERS, sparse=False)
        expected.grad = gradient.double()
        optimizer.step()
    assert (weight - expected).abs().max() < 1e-9


@pytest.mark.parametrize("native", [True, False])
def test_sparse_elements_without_gradient_keep_value_moments_and_steps(native, monkeypatch):
    if not native:
        monkeypatch.setattr(adam, "_native", lambda parameter: False)
    weight = torch.ones(6)
    optimizer = Adam([{"params": [weight], "lr": 0.1, "sparse": True}])
    for _ in range(3):
        weight.grad = torch.tensor([1.0, 0.0, -2.0, 0.0, 1e-20, 0.0])
        optimizer.step()
    state = optimizer.state[0]
    assert state["steps"].tolist() == [3, 0, 3, 0, 3, 0]
    assert weight[1::2].tolist() == [1.0, 1.0, 1.0]
    assert (state["mean"][1::2] == 0).all()
    # An element that is touched for the first time later moves by a whole first step.
    weight.grad = torch.tensor([0.0, 5.0, 0.0, 0.0, 0.0, 0.0])
    optimizer.step()
    assert float(weight[1]) == pytest.approx(0.9, abs=1e-5)


def test_bias_correction_is_one_after_its_last_step():
    weight = torch.zeros(1)
    optimizer = Adam([{"params": [weight], "lr": 1.0, "sparse": True}])
    optimizer.state[0]["steps"].fill_(adam.BIAS_CORRECTION_STEPS + 5)
    weight.grad = torch.ones(1)
    optimizer.step()
    assert float(weight) == pytest.approx(-(0.1 / 0.1), rel=1e-4)


def test_state_dict_continues_the_same_updates():
    a, b = torch.zeros(50), torch.zeros(50)
    one, two = (Adam([{"params": [w], "sparse": True}]) for w in (a, b))
    for index, gradient in enumerate(random_gradients(10, 50, 0.5)):
        a.grad = gradient
        one.step()
        if index == 4:
            b.copy_(a)
            two.load_state_dict({i: {k: t.clone() for k, t in s.items()} for i, s in one.state_dict().items()})
        elif index > 4:
            b.grad = gradient
            two.step()
    assert torch.equal(a, b)
