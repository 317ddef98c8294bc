"""`nerf`: NeRF's octaves, then its perceptron with a skip connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.base import Method
from fields.methods.frequency import Frequency
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Options for scenes. The paper's network of 8 x 256 units takes its authors a day on a GPU; in minutes on a processor
# a small network with small steps learns more. Lego in 60 s: 26.0 dB with 2,332 steps of 2,048 samples, 25.8 with 1,432
# of 4,096.
SCENE_OPTIONS: dict[str, Any] = {"width": 128, "hidden_layers": 4, "batch": 1 << 11, "learning_rate": 4e-3}
# Shortest step of rays, in sides of the cube: samples of a network are dear, and neighbours tell it the same.
SCENE_STEP = 1 / 80


class Nerf(Frequency):
    name = "nerf"
    summary = "NeRF's octaves and its deep perceptron, which sees its input again half way"
    paper = "Mildenhall et al. 2020, NeRF, appendix A"
    native_step = True

    learning_rate: float = Option(
        5e-4, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps, raise it for short fits."
    )
    hidden_layers: int = Option(8, ge=1, le=32, description="Number of hidden layers.")

    def decide(self, signal: Signal) -> dict[str, Any]:
        return for_scenes(super().decide(signal), self, signal, SCENE_OPTIONS)

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


def for_scenes(decided: dict[str, Any], method: Method, signal: Signal, options: dict[str, Any]) -> dict[str, Any]:
    """What `decide` found, and for scenes those of the options that are open, and steps that suit networks."""
    if not signal.channels.is_radiance:
        return decided
    steps = {"ray_step": max(SCENE_STEP, decided["ray_step"])} if "ray_step" in decided else {}
    return decided | steps | {name: options[name] for name in options if name not in method.model_fields_set}
