"""The network and field of nstr: waves with varying amplitudes, and the transport of their state."""

import pytest
import torch

from fields.methods.registry import make_method
from fields.networks.transport import Transport
from scenes.domain import Axis, Channels, Domain
from scenes.image.signal import Image

SMALL = {
    "waves": 12,
    "width": 10,
    "nodes": 5,
    "state_size": 3,
    "min_frequency": 4.0,
    "max_frequency": 60.0,
    "loss": "l2",
}
DOMAIN = {d: Domain(tuple(Axis(name, 0, 9, "px", 9) for name in "xyz"[:d])) for d in (1, 2, 3)}
GREY = Channels(("grey",), "srgb")


def field(dimensions=2, seed=0, **options):
    return make_method("nstr", SMALL | options).build(DOMAIN[dimensions], GREY, seed)


def coords(count, dimensions=2):
    return torch.rand(count, dimensions, generator=torch.Generator().manual_seed(0))


VARIANTS = [
    {},
    {"phases": True},
    {"interpolation": "smoothstep"},
    {"transport": "jet"},
    {"transport": "jet", "phases": True, "interpolation": "smoothstep"},
]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_with_a_state_of_zero_it_equals_the_control_bit_for_bit(dimensions):
    ours, control = field(dimensions), field(dimensions, mode="control")
    with torch.no_grad():
        for parameter in ours.network.state.parameters():
            parameter.zero_()
    x = coords(50, dimensions)
    assert torch.equal(ours(x), control(x))


def test_a_transport_that_equals_a_constant_slope_has_no_residual():
    transport = Transport(2, 3, 4, torch.Generator().manual_seed(0))
    slope = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.0, -0.3]])  # by axis x, y
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(4.0), indexing="ij")
    nodes = x[..., None] * slope[0] + y[..., None] * slope[1]
    with torch.no_grad():
        residual, explained = transport.residual(nodes)
        assert (
            float(residual) == pytest.approx(float(slope.square().mean(1).sum()), rel=1e-5) and float(explained) == 0.0
        )
        transport.output.bias.copy_(slope.flatten())
    residual, explained = transport.residual(nodes)
    assert float(residual.detach()) < 1e-12 and float(explained) == pytest.approx(1.0)
    residual.backward()
    assert transport.output.weight.grad is not None


def test_an_observing_transport_gives_the_state_no_gradient():
    for transport in ("joint", "observe"):
        made = field(transport=transport)
        made.regularisation().backward()
        table = made.network.state.grid.table
        assert (table.grad is not None and bool((table.grad != 0).any())) == (transport == "joint")
        assert made.transport.output.weight.grad.abs().sum() > 0
    assert field(transport="off").regularisation() is None


def test_the_transport_is_stored_but_not_counted():
    made = field()
    assert made.num_parameters == field(transport="off").num_parameters
    assert any(name.startswith("transport.") for name in made.state_dict())


def test_maps_of_frequency_and_flow_follow_the_fast_waves():
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
        made.transport.output.bias[0] = 0.25  # the first channel of the state, along x
    assert (
        made.flow(torch.tensor([[0.5, 0.5]]))[0].tolist()[1]
        == 0.0
        < made.flow(torch.tensor([[0.5, 0.5]]))[0].tolist()[0]
    )


def test_a_collapsed_state_is_reported():
    made = field()
    assert made.remarks() == [] and made.diagnostics()["state_variance"] > 1e-3
    with torch.no_grad():
        made.network.state.grid.table.zero_()
    assert "the same everywhere" in made.remarks()[0]


def test_waves_states_and_network_have_learning_rates_of_their_own():
    method = make_method("nstr", SMALL)
    made = field()
    rates = {id(p): group["lr"] for group in method.parameter_groups(made) for p in group["params"]}
    assert rates[id(made.network.waves.omega)] == pytest.approx(10 * method.learning_rate)
    assert rates[id(made.network.state.grid.table)] == pytest.approx(5 * method.learning_rate)
    assert rates[id(made.network.output.weight)] == method.learning_rate


def test_an_image_with_finer_detail_gets_higher_frequencies(astronaut):
    smooth = Image.from_array(astronaut).on_grid(64).transpose(1, 2, 0)
    sharp = make_method("nstr").prepare(Image.from_array(astronaut)).max_frequency
    from scipy.ndimage import gaussian_filter

    blurred = make_method("nstr").prepare(Image.from_array(gaussian_filter(smooth, (6, 6, 0)), "srgb")).max_frequency
    assert 5 < blurred < 0.7 * sharp < 300


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_every_variant_is_counted_starts_as_the_plain_one_and_trains_all_parameters(options, dimensions):
    method = make_method("nstr", SMALL | options)
    made = field(dimensions, **options)
    assert made.num_parameters == method.parameters(dimensions, 1)
    x = coords(200, dimensions)
    if options.get("interpolation") != "smoothstep":
        torch.testing.assert_close(made(x), field(dimensions, transport="off")(x), rtol=1e-4, atol=1e-4)
    with torch.no_grad():  # layers that start at 0 pass no gradient to the layers before them
        for name, parameter in made.named_parameters():
            if "output" in name or "phases" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    penalty = made.regularisation()
    (made(x).square().sum() + (0 if penalty is None else penalty)).backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in made.parameters())
    assert {id(p) for group in method.parameter_groups(made) for p in group["params"]} == {
        id(p) for p in made.parameters()
    }


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_jets_with_the_right_slope_interpolate_a_linear_state_exactly(dimensions):
    made = field(dimensions, transport="jet", state_size=2)
    state = made.network.state
    slope = torch.randn(dimensions, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state.jet.output.bias.copy_(slope.flatten())
        cells = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * dimensions, indexing="ij")[::-1], dim=-1)
        state.nodes.copy_(cells @ slope)
        x = coords(100, dimensions)
        torch.testing.assert_close(state.at(x), (x * 4) @ slope, rtol=1e-4, atol=1e-4)
        # At a node the state is that of the node.
        torch.testing.assert_close(
            state.at(torch.full((1, dimensions), 0.25)), slope.sum(0, keepdim=True), rtol=1e-4, atol=1e-4
        )


def test_smoothstep_states_have_continuous_slopes():
    made = field(1, interpolation="smoothstep")
    at = torch.tensor([[0.25 - 1e-3], [0.25 + 1e-3], [0.37]], requires_grad=True)
    (slope,) = torch.autograd.grad(made.network.state.at(at).sum(), at)
    assert slope[0].abs() < 0.1 * slope[2].abs() and slope[1].abs() < 0.1 * slope[2].abs()


def test_the_curl_is_zero_for_gradients_and_right_for_a_rotation():
    transport = Transport(2, 1, 4, torch.Generator().manual_seed(0))
    nodes = torch.zeros(5, 6, 1)
    with torch.no_grad():
        transport.output.bias.copy_(torch.tensor([0.3, -0.7]))
        assert float(transport.curl(nodes)) == 0.0

        class Turning(Transport):
            def forward(self, x, state):
                return torch.stack([-x[..., 1:], x[..., :1]], dim=-2)  # F_x = -y, F_y = x

        turning = Turning(2, 1, 4, torch.Generator().manual_seed(0))
        assert float(turning.curl(nodes)) == pytest.approx((2 / 4 + 2 / 5) ** 2, rel=1e-5)
        assert float(Transport(1, 1, 4, torch.Generator().manual_seed(0)).curl(torch.rand(5, 1))) == 0.0
    weighted = field(transport_curl=3.0)
    with torch.no_grad():
        weighted.transport.output.weight.normal_(generator=torch.Generator().manual_seed(0))
    nodes = weighted.network.state.nodes
    expected = weighted.weight * (weighted.transport.residual(nodes)[0] + 3.0 * weighted.transport.curl(nodes))
    torch.testing.assert_close(weighted.regularisation(), expected)


def test_the_map_of_orientations_follows_the_waves_and_their_phases():
    made = field(phases=True, waves=1)
    state = made.network.state
    with torch.no_grad():
        made.network.waves.omega.copy_(torch.tensor([[10.0, 10.0]]))
    angle, clarity = made.orientation(torch.tensor([[0.4, 0.6]]))[0]
    assert float(angle) == pytest.approx(torch.pi / 4, abs=1e-4) and float(clarity) == pytest.approx(1.0, abs=1e-4)
    with torch.no_grad():  # phases that rise by 10 per unit of [-1, 1] along x, 20 across the domain
        state.phases.weight[0] = torch.tensor([1.0, 0.0, 0.0])
        state.nodes[..., 0] = torch.linspace(0, 20, 5)
    assert float(made.orientation(torch.tensor([[0.4, 0.6]]))[0, 0]) == pytest.approx(
        float(torch.atan2(torch.tensor(10.0), torch.tensor(20.0))), abs=1e-3
    )
    assert float(made.frequency(torch.tensor([[0.4, 0.6]]))) == pytest.approx(500**0.5 / torch.pi, rel=1e-3)


def test_the_map_of_explained_changes_gives_their_fraction_per_cell():
    made = field()
    with torch.no_grad():
        made.transport.output.bias[0] = 1.0  # the first channel, along x
        made.network.state.grid.table.zero_()
        made.network.state.nodes[..., 0] = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0])
        fractions = made.explained(torch.tensor([[0.1, 0.5], [0.9, 0.5]]))
    assert float(fractions[0]) == pytest.approx(1.0) and float(fractions[1]) == pytest.approx(0.75)
