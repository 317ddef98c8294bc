"""Coordinate-aware modulation: invariants of the network, published sizes, and defaults of the method cam."""

import pytest
import torch

from fields.methods.registry import make_method
from fields.networks.cam import ModulatedMLP, Modulation
from fields.networks.mlp import MLP
from scenes.errors import BadInput
from scenes.procedural import Waves


def networks(normalise, layers=3, dimensions=2, nodes=8):
    plain = MLP(6, 16, layers, 3, bias=True, generator=torch.Generator().manual_seed(0))
    axes = tuple(range(dimensions))
    return plain, ModulatedMLP(
        plain, Modulation(dimensions, axes, (nodes,) * dimensions, layers), normalise, sigmoid=False
    )


def points(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def test_an_untrained_network_without_normalization_equals_the_plain_one():
    plain, modulated = networks(normalise=False)
    torch.testing.assert_close(modulated(points(50, 6), points(50, 2)), plain(points(50, 6)))


def test_values_of_a_sample_do_not_depend_on_its_batch():
    _, modulated = networks(normalise=True)
    features, coords = points(50, 6), points(50, 2)
    torch.testing.assert_close(
        modulated(features, coords)[:7], modulated(features[:7], coords[:7]), rtol=1e-6, atol=1e-6
    )


def test_normalization_over_rays_mixes_the_samples_of_each_ray_only():
    _, modulated = networks(normalise=2, layers=1)
    features, coords = points(5, 7, 6), points(5, 7, 2)
    x = modulated.network.hidden[0](features)
    x = (x - x.mean((1, 2), keepdim=True)) / (x.var((1, 2), unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(modulated(features, coords), modulated.network.output(x.relu()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        modulated(features, coords)[:2], modulated(features[:2], coords[:2]), rtol=1e-6, atol=1e-6
    )


def test_hidden_layers_are_standardized_scaled_and_shifted():
    _, modulated = networks(normalise=True, layers=1)
    with torch.no_grad():
        modulated.modulation.grid.table[:, 0] = 2.0
        modulated.modulation.grid.table[:, 1] = -0.5
    x = modulated.network.hidden[0](points(9, 6))
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * 2.0 - 0.5
    torch.testing.assert_close(
        modulated(points(9, 6), points(9, 2)), modulated.network.output(x.relu()), rtol=1e-4, atol=1e-5
    )


def test_nodes_lie_at_both_ends_and_values_outside_are_those_of_the_border():
    modulation = Modulation(1, (0,), (5,), 1)
    with torch.no_grad():
        modulation.grid.table[:, 0] = torch.tensor([1.0, 3.0, 2.0, 5.0, 4.0])
    scale, shift = modulation(torch.tensor([[0.0], [0.25], [0.375], [1.0], [1.7], [-0.3]])).T
    torch.testing.assert_close(scale, torch.tensor([1.0, 3.0, 2.5, 4.0, 4.0, 1.0]))
    assert (shift == 0).all()


def test_every_grid_gets_a_gradient_in_the_first_step():
    _, modulated = networks(normalise=True)
    modulated(points(200, 6), points(200, 2)).square().sum().backward()
    gradient = modulated.modulation.grid.table.grad
    assert (gradient != 0).any(0).all()


def test_cam_has_the_published_sizes():
    image = make_method("cam").prepare(Waves((512, 512)))
    frozen = 2 * 256
    assert image.nodes == 32 and image.parameters(2, 3) == 263_683 + 6_144 + frozen
    without = make_method("cam", {"modulate": False}).prepare(Waves((512, 512)))
    assert without.parameters(2, 3) == 263_683 + frozen
    volume = make_method("cam", {"nodes": 5}).prepare(Waves((24, 24, 12)))
    assert volume.grid_axes == "all"  # its third axis is z, not time


def test_time_indexes_the_grids_of_a_video():
    from scenes.domain import Axis, Domain

    signal = Waves((24, 24, 12))
    signal.domain = Domain((*signal.domain.axes[:2], Axis("t", 0.0, 1.0, "s", 12)))
    method = make_method("cam", {"nodes": 5}).prepare(signal)
    assert method.grid_axes == "time"
    extra = method.parameters(3, 3) - method.model_copy(update={"modulate": False}).parameters(3, 3)
    assert extra == 2 * 5 * 3
    field = method.build(signal.domain, signal.channels, seed=0)
    assert field.network.modulation.grid.layout.factors[0].axes == (2,)
    with pytest.raises(BadInput, match="no axis t"):
        make_method("cam", {"grid_axes": "time"}).prepare(Waves((24, 24)))


def test_the_grids_have_a_learning_rate_of_their_own():
    method = make_method("cam").prepare(Waves((32, 32)))
    network, grids = method.parameter_groups(method.build(Waves((32, 32)).domain, Waves((32, 32)).channels, seed=0))
    assert grids["lr"] == 10 * network["lr"] and sum(p.numel() for p in grids["params"]) == 6_144


def test_the_grids_rate_is_ten_times_the_networks_for_images_and_equals_it_elsewhere():
    for shape, options, rate in (
        ((32, 32), {}, 1e-2),
        ((32, 32), {"learning_rate": 2e-3}, 2e-2),
        ((64,), {}, 1e-3),
        ((9, 9, 9), {"learning_rate": 2e-3}, 2e-3),
        ((32, 32), {"learning_rate": 2e-3, "grid_rate": 5e-3}, 5e-3),
    ):
        assert make_method("cam", options).prepare(Waves(shape)).grid_rate == pytest.approx(rate)
