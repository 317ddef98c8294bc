"""NeRF's perceptron with a skip connection."""

import pytest
import torch

from fields.networks.skip_mlp import SkipMLP, skip_layer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3, 8])
def test_one_hidden_layer_in_the_middle_also_sees_the_input(hidden_layers):
    network = SkipMLP(5, 16, hidden_layers, 2, generator=generator())
    widths = [layer.in_features for layer in network.hidden]
    seen = skip_layer(hidden_layers)
    assert widths == [5, *[16 + 5 * (layer == seen) for layer in range(1, hidden_layers)]]
    if hidden_layers == 8:
        assert seen == 5
    features = torch.rand(7, 5, generator=generator())
    x = features
    for index, layer in enumerate(network.hidden):
        x = torch.relu(layer(torch.cat([features, x], dim=-1) if index == seen else x))
    torch.testing.assert_close(network.penultimate(features), x)
    torch.testing.assert_close(network(features), network.output(x))
