"""SIREN, FINER, WIRE and the ReLU MLP on native kernels: values and gradients of both orders against their formulas."""

import pytest
import torch
from torch.nn.functional import linear

from fields.networks.finer import Finer
from fields.networks.mlp import MLP
from fields.networks.native import StepOptions
from fields.networks.quadratic import Quadratic
from fields.networks.siren import Siren
from fields.networks.skip_mlp import SkipMLP
from fields.networks.wire import Wire
from fields.ops.network_step import InputEncoding


def make(name):
    """A network of three hidden layers, 2 inputs and 3 outputs."""
    sizes, generator = (2, 21, 3, 3), torch.Generator().manual_seed(0)
    if name == "siren":
        return Siren(*sizes, first_omega=20.0, hidden_omega=30.0, generator=generator)
    if name.startswith("finer"):
        return Finer(
            *sizes,
            first_omega=20.0,
            hidden_omega=30.0,
            first_bias=1.0,
            through_scale=name == "finer-through",
            generator=generator,
        )
    if name == "wire":
        return Wire(*sizes, omega=5.0, scale=4.0, generator=generator)
    if name == "skip":
        return SkipMLP(*sizes, generator=generator)
    if name == "quadratic":
        network = Quadratic(*sizes, generator=generator)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return network
    return MLP(*sizes, bias=name == "mlp", generator=generator)


def formula(name, network, x):
    """The same values in plain torch."""
    if name == "wire":
        z = network.first(x)
        zx, zy = z, torch.zeros_like(z)
        for layer in range(3):
            if layer:
                real, imaginary = network.real[layer - 1], network.imaginary[layer - 1]
                zx = real(hx) - linear(hy, imaginary.weight)  # noqa: F821
                zy = imaginary(hx) + linear(hy, real.weight)  # noqa: F821
            amplitude = torch.exp(-5.0 * zy - 16.0 * (zx**2 + zy**2))
            hx, hy = amplitude * torch.cos(5.0 * zx), amplitude * torch.sin(5.0 * zx)
        return network.output_real(hx) - network.output_imaginary(hy)
    given = x
    for index, layer in enumerate(network.hidden):
        if name == "skip" and index == network.skip:
            x = torch.cat([given, x], dim=-1)
        z, omega = layer(x), 30.0 if index else 20.0
        if name == "siren":
            x = torch.sin(omega * z)
        elif name.startswith("finer"):
            factor = z.abs() + 1.0
            x = torch.sin(omega * (factor if name == "finer-through" else factor.detach()) * z)
        else:
            x = torch.relu(z)
    return network.output(x)


NAMES = ("siren", "finer", "finer-through", "wire", "mlp", "mlp-without-bias", "skip", "quadratic")


def points(dtype, count=70):
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_equal_the_formula(name, dtype, tolerance):
    network = make(name).to(dtype)
    assert network.backend == "native-cpu"
    x = points(dtype).requires_grad_()
    inputs = [x, *network.parameters()]
    results = []
    for values in (network(x), formula(name, network, x)):
        results.append([values.detach(), *torch.autograd.grad(values.square().sum(), inputs, allow_unused=True)])
    for ours, exact in zip(*results, strict=True):
        assert (ours - exact).norm() <= tolerance * exact.norm().clamp(min=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_an_eikonal_loss_equal_the_formula(name):
    network = make(name).double()
    x = points(torch.float64).requires_grad_()
    results = []
    for function in (network, lambda x: formula(name, network, x)):
        values = function(x)[:, :1]
        (normal,) = torch.autograd.grad(values.sum(), x, create_graph=True)
        loss = values.abs().mean() + ((normal.norm(dim=-1) - 1.0) ** 2).mean()
        results.append(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))
    for ours, exact in zip(*results, strict=True):
        # The last bias is no part of the normals; WIRE's blocks give zeros where the formula has no gradient.
        exact = torch.zeros_like(ours) if exact is None else exact
        assert (ours - exact).norm() <= 1e-10 * exact.norm().clamp(min=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_leading_shapes_are_kept(name):
    network = make(name)
    x = points(torch.float32, 60)
    assert torch.equal(network(x.reshape(3, 20, 2)), network(x).reshape(3, 20, 3))
    assert network(x[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_penultimate_is_the_input_of_the_output_layer(name):
    network, seen = make(name).double(), []
    layer = network.output_real if name == "wire" else network.output
    handle = layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    formula(name, network, points(torch.float64))
    handle.remove()
    features = network.penultimate(points(torch.float64))
    assert features.shape == (70, 21)
    torch.testing.assert_close(features, seen[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("base", (Siren, Wire))
def test_a_forward_of_its_own_rules_out_the_native_step(base):
    class Halved(base):
        def forward(self, features):
            return 0.5 * super().forward(features)

    network, options = make("siren" if base is Siren else "wire"), StepOptions(InputEncoding(), 2, "l2")
    assert network.training_step(options) is not None
    network.__class__ = Halved
    assert network.training_step(options) is None
    network.__class__ = base
    assert network.double().training_step(options) is None
