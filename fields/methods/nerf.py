"""`nerf`: NeRF's octaves, then its perceptron with a skip connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.frequency import Frequency
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field


class Nerf(Frequency):
    name = "nerf"
    summary = "NeRF's octaves and its deep perceptron, which sees its input again half way"
    paper = "Mildenhall et al. 2020, NeRF, appendix A"
    native_step = True

    learning_rate: float = Option(
        5e-4, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps, raise it for short fits."
    )
    hidden_layers: int = Option(8, ge=1, le=32, description="Number of hidden layers.")

    def parameters(self, dimensions: int, channels: int) -> int:
        inputs = frequency_outputs(dimensions, self.octaves)
        skip = inputs * self.width if self.hidden_layers > 2 else 0
        return mlp_parameters(inputs, self.width, self.hidden_layers, channels, bias=True) + skip

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Frequency as Encoder
        from fields.models.field import CoordinateField
        from fields.networks.skip_mlp import SkipMLP

        generator = torch.Generator().manual_seed(seed)
        encoder = Encoder(domain.dimensions, self.octaves)
        network = SkipMLP(encoder.outputs, self.width, self.hidden_layers, len(channels), generator=generator)
        return CoordinateField(domain, channels, encoder, network, offset=0.5)
