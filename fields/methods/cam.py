"""`cam`: Fourier features, then an MLP whose layers are scaled and shifted by small grids over the coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.fourier import Fourier
from fields.methods.nerf import for_scenes
from fields.methods.options import Undecided, undecided
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.cam import CamField
    from fields.models.field import Field
    from scenes.signal import Signal

# Nodes along each axis of a grid, by its number of axes: the authors' for audio and images; cubes are our extension.
NODES = {1: 64, 2: 32, 3: 16, 4: 8}
# Nodes of scenes, as in the authors' code: along the azimuth of a view (they have 10 x 3 for the lower half of the
# sphere), and along time where the scene moves.
VIEW_NODES = 10
SCENE_TIME_NODES = 5
# Options for scenes, where small steps of a small network learn more in minutes, as with `nerf`. Lego in 60 s: 24.8 dB
# with seven octaves and 23.6 with the authors' ten, 23.0 with four hidden layers.
SCENE_OPTIONS: dict[str, Any] = {"width": 128, "batch": 1 << 11, "learning_rate": 4e-3, "octaves": 7}
# Learning rate of an image's grids as a multiple of the network's, as in the authors' code. Their networks for audio
# and scenes have one rate for all.
IMAGE_GRID_RATE = 10


class Cam(Fourier):
    name = "cam"
    summary = "Fourier features, then an MLP whose layers are scaled and shifted by small grids over the coordinates"
    paper = "Lee et al. 2024, Coordinate-Aware Modulation for Neural Fields"
    native_step = True
    size_options = ("width", "hidden_layers", "frequencies", "nodes")

    motion_by_default = "axis"
    # Each activation is kept scaled and shifted too.
    activation_copies = 8

    grid_rate: Undecided[float] = undecided(
        "Adam's learning rate for the grids. Default: ten times the network's for images, else the network's.",
        gt=0,
        le=1,
    )
    hidden_layers: int = Option(3, ge=1, le=32, description="Number of hidden layers.")
    modulate: bool = Option(True, description="false: the same network without the grids, to compare with.")
    normalise: bool = Option(True, description="Standardize the features of each sample before they are scaled.")
    grid_axes: Literal["auto", "all", "time", "view"] = Option(
        "auto",
        description="Coordinates that index the grids. auto: time where it is an axis besides others, the direction of "
        "view for scenes, else all.",
    )
    nodes: Undecided[int] = undecided(
        "Nodes along each axis of a grid. Default: 64, 32, 16, 8 for 1 to 4 axes; 10 along azimuth, and half as many "
        "along elevation.",
        ge=2,
        le=4096,
    )
    encoding: Literal["auto", "fourier", "octaves"] = Option(
        "auto", description="Input of the MLP: random Fourier features or NeRF's octaves. auto: octaves for scenes."
    )
    octaves: int = Option(10, ge=1, le=24, description="Octaves per axis with encoding=octaves.")

    def decide(self, signal: Signal) -> dict[str, Any]:
        return for_scenes(super().decide(signal), self, signal, SCENE_OPTIONS)

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        scene = signal.channels.is_radiance
        # A moving scene that is deformed to a still one has time as an axis of its domain, but not of the network.
        axes = signal.domain.axes
        has_time = any(axis.is_time for axis in axes)
        if self.grid_axes == "time" and not has_time:
            names = ", ".join(axis.name for axis in axes)
            raise BadInput(f"grid_axes=time: this {signal.kind} has no axis t, only {names}")
        if self.grid_axes == "view" and not scene:
            raise BadInput(f"grid_axes=view: this {signal.kind} is not seen from anywhere; it is for posed views")
        update: dict[str, object] = {}
        grid_axes = self.grid_axes
        if grid_axes == "auto":
            grid_axes = "time" if has_time and len(axes) > 1 else "view" if scene else "all"
            update["grid_axes"] = grid_axes
        if self.encoding == "auto":
            update["encoding"] = "octaves" if scene else "fourier"
        if self.nodes is None:
            count = 1 if grid_axes == "time" else self.axes_of(signal)
            update["nodes"] = VIEW_NODES if grid_axes == "view" else NODES[count]
            if scene and count == 1:
                update["nodes"] = SCENE_TIME_NODES
        if self.grid_rate is None:
            factor = IMAGE_GRID_RATE if self.axes_of(signal) == 2 else 1
            update["grid_rate"] = min(1.0, factor * method.learning_rate)
        return method.model_copy(update=update)

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return super().frequency_candidates(stretch) if self.encoding == "fourier" else []

    def _grid_shape(self, dimensions: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The coordinates that index the grids, or the angles of the direction of view, and the nodes along each."""
        if self.grid_axes == "view":
            return (0, 1), (self.nodes, max(2, self.nodes // 2))
        # Time is always the last axis.
        axes = (dimensions - 1,) if self.grid_axes == "time" else tuple(range(dimensions))
        return axes, (self.nodes,) * len(axes)

    def parameters(self, dimensions: int, channels: int) -> int:
        grids = math.prod(self._grid_shape(dimensions)[1]) * 2 * self.hidden_layers if self.modulate else 0
        if self.encoding == "octaves":
            inputs = frequency_outputs(dimensions, self.octaves)
            return mlp_parameters(inputs, self.width, self.hidden_layers, channels, bias=True) + grids
        return super().parameters(dimensions, channels) + grids

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.frequency import Fourier as Encoder
        from fields.encoders.frequency import Frequency
        from fields.models.cam import CamField
        from fields.networks.cam import ModulatedMLP, Modulation
        from fields.networks.mlp import MLP

        generator = torch.Generator().manual_seed(seed)
        dimensions = domain.dimensions
        if self.encoding == "octaves":
            encoder = Frequency(dimensions, self.octaves)
        else:
            encoder = Encoder(dimensions, self.frequencies, self.sigma, generator)
        network = MLP(encoder.outputs, self.width, self.hidden_layers, len(channels), bias=True, generator=generator)
        # The direction of view, and the time of a scene that is deformed, are coordinates of the grids only.
        takes_directions = self.modulate and self.grid_axes == "view"
        takes_time = self.modulate and self.grid_axes == "time" and not domain.axes[-1].is_time
        modulation = None
        if self.modulate:
            indexing = 2 if takes_directions else 1 if takes_time else dimensions
            axes, nodes = self._grid_shape(indexing)
            modulation = Modulation(indexing, axes, nodes, self.hidden_layers)
        # Values in [0, 1] come out of a sigmoid, as in the authors' code; other values are not bounded.
        sigmoid = channels.space == "srgb"
        return CamField(
            domain,
            channels,
            encoder,
            ModulatedMLP(network, modulation, self.normalise, sigmoid),
            offset=0.0 if sigmoid else 0.5,
            takes_directions=takes_directions,
            takes_time=takes_time,
        )

    def parameter_groups(self, field: CamField) -> list[dict[str, Any]]:
        network = field.network
        groups = self.network_groups(network.network)
        if network.modulation is not None:
            groups.append({"params": list(network.modulation.parameters()), "lr": self.grid_rate, "sparse": False})
        return groups
