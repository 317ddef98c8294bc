"""A method of one's own for Field Studio: a network of products of sines (Fathony et al. 2021, "Multiplicative Filter Networks").

Everything that a method needs is here. Torch is imported where something is built, not above: `fit-a-scene --help` stays quick.
"""

from __future__ import annotations

from pydantic import Field as Option

from fields.methods.network import NetworkMethod


class Filters(NetworkMethod):
    name = "filters"
    summary = "products of sines and linear layers (an example of a plug-in)"
    paper = "Fathony et al. 2021, Multiplicative Filter Networks"
    dimensions = (1, 2, 3, 4)

    # An option is a typed attribute: --set on the command line, a control in the studio, a line of `fit-a-scene methods filters`.
    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size")
    width: int = Option(128, ge=1, le=4096, description="sines a filter")
    hidden_layers: int = Option(3, ge=1, le=16, description="filters that are multiplied")
    frequency: float = Option(
        32.0, gt=0, le=1e4, description="the fastest filters, in radians a unit of [-1, 1], over all of them"
    )

    def parameters(self, dimensions: int, channels: int) -> int:
        """What `build` will make, counted before: sizes are asked for with --params."""
        filters = self.hidden_layers * (dimensions + 1) * self.width
        linear = (self.hidden_layers - 1) * (self.width + 1) * self.width
        return filters + linear + (self.width + 1) * channels

    def build(self, domain, channels, seed):
        import torch
        from torch import nn

        from fields.encoders.frequency import Identity
        from fields.models.field import CoordinateField

        class Network(nn.Module):
            def __init__(self, inputs: int, width: int, layers: int, outputs: int, frequency: float) -> None:
                super().__init__()
                self.filters = nn.ModuleList(nn.Linear(inputs, width) for _ in range(layers))
                self.linear = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
                self.output = nn.Linear(width, outputs)
                for layer in self.filters:
                    nn.init.uniform_(layer.weight, -frequency / layers, frequency / layers)
                    nn.init.uniform_(layer.bias, -torch.pi, torch.pi)

            def forward(self, x):
                first, *others = self.filters
                values = torch.sin(first(x))
                for layer, filter_ in zip(self.linear, others):
                    values = layer(values) * torch.sin(filter_(x))
                return self.output(values)

        # The same seed must give the same weights, and nothing else may feel it.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(domain.dimensions, self.width, self.hidden_layers, len(channels), self.frequency)
        return CoordinateField(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
