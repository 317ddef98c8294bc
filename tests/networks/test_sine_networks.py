"""SIREN, FINER and WIRE against references and their published behaviour at initialization."""

import numpy as np
import torch

from fields.networks.finer import Finer
from fields.networks.siren import Siren
from fields.networks.wire import Wire


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grid(side):
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)


def test_activations_of_siren_have_the_same_deviation_in_every_layer():
    """Theorem 1.8 of the paper: arcsine-distributed outputs, whose deviation is 0.707."""
    network = Siren(2, 64, 3, 1, first_omega=30.0, hidden_omega=30.0, generator=generator())
    x, omega = grid(64), 30.0
    for depth, layer in enumerate(network.hidden):
        before = omega * layer(x)
        x = torch.sin(before)
        assert 0.60 < x.std() < 0.75
        assert 11 < before.std() < 17 if depth == 0 else 1.8 < before.std() < 3.0


def centroid(first_bias, seed):
    """Mean diagonal frequency of the untrained output, first 64 bins."""
    network = Finer(
        2,
        64,
        3,
        1,
        first_omega=30.0,
        hidden_omega=30.0,
        first_bias=first_bias,
        through_scale=False,
        generator=generator(seed),
    )
    with torch.no_grad():
        values = network(grid(256)).reshape(256, 256)
    magnitude = torch.fft.fft2(values - values.mean()).abs()[:65, :65].numpy()
    diagonal = np.add.outer(np.arange(65), np.arange(65))
    weight = np.bincount(diagonal.ravel(), magnitude.ravel())[1:65]
    return float((weight * np.arange(1, 65)).sum() / weight.sum())


def test_finer_starts_with_higher_frequencies_for_a_larger_first_bias():
    means = {k: np.mean([centroid(k, seed) for seed in range(4)]) for k in (0.0, 1.0, 3.0)}
    assert means[1.0] > 1.1 * means[0.0]
    assert means[3.0] > 1.35 * means[0.0]


def test_finer_holds_its_scale_constant_in_gradients_unless_through_scale():
    coords = grid(4).requires_grad_()
    gradients = {}
    for through in (False, True):
        network = Finer(
            2,
            8,
            1,
            1,
            first_omega=30.0,
            hidden_omega=30.0,
            first_bias=1.0,
            through_scale=through,
            generator=generator(),
        )
        (gradients[through],) = torch.autograd.grad(network(coords).sum(), coords)
    z = network.hidden[0](coords)
    slope = 30.0 * torch.cos(30.0 * (z.abs() + 1) * z) * network.output.weight
    weight = network.hidden[0].weight
    torch.testing.assert_close(gradients[False], slope * (z.abs() + 1) @ weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients[True], slope * (2 * z.abs() + 1) @ weight, rtol=1e-4, atol=1e-4)


def test_wire_equals_the_complex_reference():
    network = Wire(2, 12, 3, 3, omega=5.0, scale=4.0, generator=generator()).double()
    coords = grid(8).double()
    z = network.first(coords).to(torch.complex128)
    for layer in range(3):
        if layer:
            real, imaginary = network.real[layer - 1], network.imaginary[layer - 1]
            z = h @ torch.complex(real.weight, imaginary.weight).T + torch.complex(real.bias, imaginary.bias)  # noqa: F821
        h = torch.exp(1j * 5.0 * z - (4.0 * z).abs() ** 2)
    expected = (
        h @ torch.complex(network.output_real.weight, network.output_imaginary.weight).T
    ).real + network.output_real.bias
    torch.testing.assert_close(network(coords), expected)
