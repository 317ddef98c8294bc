"""The layer of Gaussian units: all radial functions of the authors' code against references."""

from typing import get_args

import pytest
import torch

from fields.methods.rbf import Rbf
from fields.networks.gaussian_rbf import PROFILES, GaussianRbf

REFERENCES = {
    "gaussian": lambda r: torch.exp(-r * r / 2),
    "multiquadric": lambda r: (r * r + 1) ** 0.5,
    "inverse_multiquadric": lambda r: (r * r + 1) ** -0.5,
    "cubic": lambda r: r**3,
    "thin_plate": lambda r: r * r * torch.log(r),
    "wendland": lambda r: (1 - r).clamp(min=0) ** 9 * (9 * r + 1),
}


def test_the_method_offers_the_radial_functions_of_the_network():
    assert set(get_args(Rbf.model_fields["profile"].annotation)) == {"gaussian", *PROFILES} == set(REFERENCES)


@pytest.mark.parametrize("profile", REFERENCES)
def test_a_layer_equals_its_reference_and_gradients_are_finite_even_at_a_centre(profile):
    generator = torch.Generator().manual_seed(0)
    network = GaussianRbf(
        4, 16, 3, spread=0.3, linear=True, backend="torch", generator=generator, profile=profile
    ).double()
    x = 0.6 * torch.rand(30, 4, dtype=torch.float64, generator=generator) - 0.3
    widths = torch.exp(network.log_widths)
    r = ((x[:, None] - network.centres) ** 2 * widths).sum(-1).sqrt()
    torch.testing.assert_close(
        network(x), network.output(REFERENCES[profile](r)) + network.linear(x), rtol=1e-6, atol=1e-6
    )
    at_centre = network.centres.detach()[:1].clone().requires_grad_()
    network(at_centre).sum().backward()
    assert at_centre.grad.isfinite().all() and all(p.grad.isfinite().all() for p in network.parameters())
