"""Terms of the loss that make a density field opaque."""

import pytest
import torch

from fields.fit.objectives.radiance import _entropy
from fields.methods.registry import make_method


def test_entropy_is_a_bit_for_half_a_weight_and_none_for_all_or_nothing():
    assert float(_entropy(torch.tensor([0.5, 0.5, 0.5]))) == pytest.approx(3.0)
    assert float(_entropy(torch.tensor([0.0, 1.0]))) < 1e-3


def test_entropy_draws_weights_to_the_nearer_end():
    weights = torch.tensor([0.2, 0.8], requires_grad=True)
    _entropy(weights).backward()
    assert weights.grad is not None and weights.grad[0] > 0 > weights.grad[1]


def test_the_term_is_off_unless_it_is_asked_for():
    assert make_method("hashgrid", {}).entropy == 0.0
    assert make_method("hashgrid", {"entropy": 1e-3}).entropy == 1e-3
