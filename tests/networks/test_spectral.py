"""Waves that are weighed from place to place, and the transport of their state."""

import pytest
import torch

from fields.methods.registry import make_method
from fields.networks.spectral import Transport
from scenes.domain import Axis, Channels, Domain
from scenes.image import Image

SMALL = {"waves": 12, "width": 10, "nodes": 5, "state": 3, "lowest": 4.0, "highest": 60.0, "loss": "l2"}
DOMAIN = {d: Domain(tuple(Axis(name, 0, 9, "px", 9) for name in "xyz"[:d])) for d in (1, 2, 3)}
GREY = Channels(("grey",), "srgb")


def field(dimensions=2, seed=0, **options):
    return make_method("nstr", SMALL | options).build(DOMAIN[dimensions], GREY, seed)


def coords(count, dimensions=2):
    return torch.rand(count, dimensions, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_without_a_state_it_is_the_control_to_the_bit(dimensions):
    ours, control = field(dimensions), field(dimensions, mode="control")
    with torch.no_grad():
        for parameter in ours.network.state.parameters():
            parameter.zero_()
    x = coords(50, dimensions)
    assert torch.equal(ours(x), control(x))


def test_the_residual_of_an_even_slope_is_zero_where_the_transport_is_that_slope():
    transport = Transport(2, 3, 4, torch.Generator().manual_seed(0))
    slope = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.0, -0.3]])  # by axis x, y
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(4.0), indexing="ij")
    nodes = x[..., None] * slope[0] + y[..., None] * slope[1]
    with torch.no_grad():
        residual, explained = transport.residual(nodes)
        assert float(residual) == pytest.approx(float(slope.square().mean(1).sum()), rel=1e-5) and float(explained) == 0.0
        transport.output.bias.copy_(slope.flatten())
    residual, explained = transport.residual(nodes)
    assert float(residual.detach()) < 1e-12 and float(explained) == pytest.approx(1.0)
    residual.backward()
    assert transport.output.weight.grad is not None


def test_looking_on_the_transport_does_not_touch_the_state():
    for how in ("joint", "observe"):
        made = field(transport=how)
        made.regularisation().backward()
        table = made.network.state.grid.table
        assert (table.grad is not None and bool((table.grad != 0).any())) == (how == "joint")
        assert made.transport.output.weight.grad.abs().sum() > 0
    assert field(transport="off").regularisation() is None


def test_the_transport_is_stored_but_not_counted():
    made = field()
    assert made.stored_numbers == field(transport="off").stored_numbers
    assert any(name.startswith("transport.") for name in made.state_dict())


def test_the_maps_see_where_the_fast_waves_are():
    made = field()
    state, speeds = made.network.state, made.network.waves.omega.detach().norm(dim=-1)
    with torch.no_grad():
        state.amplitudes.bias.zero_()
        state.amplitudes.weight.zero_()
        state.amplitudes.weight[speeds.argmax(), 0] = 50.0
        state.nodes[..., 0] = torch.linspace(0, 1, 5)  # to the right
    left, right = made.frequency(torch.tensor([[0.0, 0.5], [1.0, 0.5]]))
    assert right > left and float(right) == pytest.approx(float(speeds.max()) / torch.pi, rel=0.2)
    with torch.no_grad():
        made.transport.output.bias[0] = 0.25  # the first number of the state, along x
    assert made.flow(torch.tensor([[0.5, 0.5]]))[0].tolist()[1] == 0.0 < made.flow(torch.tensor([[0.5, 0.5]]))[0].tolist()[0]


def test_a_collapsed_state_is_told():
    made = field()
    assert made.remarks() == [] and made.diagnostics()["state_variance"] > 1e-3
    with torch.no_grad():
        made.network.state.grid.table.zero_()
    assert "the same everywhere" in made.remarks()[0]


def test_rates_by_module():
    method = make_method("nstr", SMALL)
    made = field()
    rates = {id(p): group["lr"] for group in method.parameter_groups(made) for p in group["params"]}
    assert rates[id(made.network.waves.omega)] == pytest.approx(10 * method.learning_rate)
    assert rates[id(made.network.state.grid.table)] == pytest.approx(5 * method.learning_rate)
    assert rates[id(made.network.output.weight)] == method.learning_rate


def test_a_finer_picture_gets_faster_waves(astronaut):
    smooth = Image.from_array(astronaut).on_grid(64).transpose(1, 2, 0)
    sharp = make_method("nstr").prepare(Image.from_array(astronaut)).highest
    from scipy.ndimage import gaussian_filter

    blurred = make_method("nstr").prepare(Image.from_array(gaussian_filter(smooth, (6, 6, 0)), "srgb")).highest
    assert 5 < blurred < 0.7 * sharp < 300
