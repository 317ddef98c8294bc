"""Example of a method outside of Field Studio: a multiplicative filter network (Fathony et al. 2021).

A method needs nothing but this file. Torch is imported in `build`, so that `fit-a-scene --help` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field as Option

import field_studio as fs

if TYPE_CHECKING:
    from field_studio import Channels, Domain, Field


class Filters(fs.NetworkMethod):
    name = "filters"
    summary = "products of sines and linear layers (an example of a plug-in)"
    paper = "Fathony et al. 2021, Multiplicative Filter Networks"
    dimensions = (1, 2, 3, 4)

    # Each option is a typed attribute: `--set` on the command line, a control in the studio, and a row in the list that
    # `fit-a-scene methods filters` prints. `NetworkMethod` already has width, hidden_layers and batch.
    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps.")
    width: int = Option(128, ge=1, le=4096, description="Sines per filter. More give more detail and slower steps.")
    hidden_layers: int = Option(3, ge=1, le=16, description="Number of filters that are multiplied.")
    frequency: float = Option(
        32.0,
        gt=0,
        le=1e4,
        description="Highest frequency of the product, in radians per unit of [-1, 1]. Raise it for finer detail.",
    )

    def parameters(self, dimensions: int, channels: int) -> int:
        """Number of parameters of the field that `build` makes. It is solved for where `--params` asks for a size."""
        filters = self.hidden_layers * (dimensions + 1) * self.width
        linear = (self.hidden_layers - 1) * (self.width + 1) * self.width
        return filters + linear + (self.width + 1) * channels

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch
        from torch import Tensor, nn

        class Network(nn.Module):
            """`h_1 = sin(f_1(x))`, `h_l = g_l(h_{l-1}) * sin(f_l(x))`, with linear f and g, and a linear output."""

            def __init__(self, inputs: int, width: int, layers: int, outputs: int, *, frequency: float) -> None:
                super().__init__()
                filters = [nn.Linear(inputs, width) for _ in range(layers)]
                self.filters = nn.ModuleList(filters)
                self.linear = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
                self.output = nn.Linear(width, outputs)
                for layer in filters:
                    nn.init.uniform_(layer.weight, -frequency / layers, frequency / layers)
                    nn.init.uniform_(layer.bias, -torch.pi, torch.pi)

            def forward(self, x: Tensor) -> Tensor:
                first, *others = self.filters
                values = torch.sin(first(x))
                for layer, filter_ in zip(self.linear, others):
                    values = layer(values) * torch.sin(filter_(x))
                return self.output(values)

        # The same seed has to give the same weights, and must not change the random numbers of anything else.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(
                domain.dimensions, self.width, self.hidden_layers, len(channels), frequency=self.frequency
            )
        return fs.CoordinateField(
            domain, channels, fs.encoders.Identity(domain.dimensions), network, scale=0.5, offset=0.5
        )
