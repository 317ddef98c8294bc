"""`cam`: Fourier features and an MLP whose layers are scaled and shifted by small grids over the coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.fourier import Fourier
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Nodes along an axis of the grid, by how many axes it has: the authors' for sound and pictures; a cube is our extension.
NODES = {1: 64, 2: 32, 3: 16, 4: 8}
VIEW_NODES, TIME_NODES = 10, 5


class Cam(Fourier):
    name = "cam"
    summary = "Fourier features, then an MLP whose layers are scaled and shifted by small grids over the coordinates"
    paper = "Lee et al. 2024, Coordinate-Aware Modulation for Neural Fields"

    moves = "axis"
    # Each activation is kept scaled and shifted too.
    activation_copies = 8

    grid_rate: float | None = Option(
        None,
        gt=0,
        le=1,
        description="Adam's step size for the grids; none: ten times the network's for pictures, else the network's",
    )
    hidden_layers: int = Option(3, ge=1, le=32, description="hidden layers")
    modulate: bool = Option(True, description="false: the same network without the grids")
    normalise: bool = Option(True, description="standardise each sample's features before they are scaled")
    grid_axes: Literal["auto", "all", "time", "view"] = Option(
        "auto",
        description="coordinates that index the grids; auto: time where there is such an axis, the direction for scenes, else all",
    )
    nodes: int | None = Option(
        None,
        ge=2,
        le=4096,
        description="nodes along each axis of a grid; none: 64, 32, 16, 8 for 1 to 4 axes; along "
        "azimuth and half as many along elevation: 10",
    )
    encoding: Literal["auto", "fourier", "octaves"] = Option(
        "auto", description="what the MLP sees: random Fourier features or NeRF's octaves; auto: octaves for scenes"
    )
    octaves: int = Option(10, ge=1, le=24, description="frequencies an axis of encoding=octaves")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        # (in a scene that is led into a still one time is no coordinate of the network, only of the grids)
        names = [axis.name for axis in signal.domain.axes]
        if self.grid_axes == "time" and "t" not in names:
            raise BadInput(f"grid_axes=time: this {signal.kind} has no axis t, only {', '.join(names)}")
        scene = signal.kind == "radiance"
        if self.grid_axes == "view" and not scene:
            raise BadInput(f"grid_axes=view: this {signal.kind} is not seen from anywhere; it is for posed views")
        if method.grid_axes == "auto":
            timed = "t" in names and len(names) > 1
            method = method.model_copy(update={"grid_axes": "time" if timed else "view" if scene else "all"})
        if method.encoding == "auto":
            method = method.model_copy(update={"encoding": "octaves" if scene else "fourier"})
        if method.nodes is None:
            count = 1 if method.grid_axes == "time" else self.axes_of(signal)
            # Over time the authors have 5 for scenes that move; over directions 10 x 3 for the lower half of the sphere.
            nodes = VIEW_NODES if method.grid_axes == "view" else TIME_NODES if scene and count == 1 else NODES[count]
            method = method.model_copy(update={"nodes": nodes})
        if method.grid_rate is None:
            # As the authors have it: their networks of sounds and scenes have one rate for all.
            method = method.model_copy(
                update={"grid_rate": min(1.0, (10 if self.axes_of(signal) == 2 else 1) * method.learning_rate)}
            )
        return method

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return super().frequency_candidates(stretch) if self.encoding == "fourier" else []

    def _grid(self, dimensions: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Which of the coordinates (or angles of the direction) index the grids, and the nodes along each."""
        if self.grid_axes == "view":
            return (0, 1), (self.nodes, max(2, self.nodes // 2))
        # (time is the last axis wherever there is one)
        axes = (dimensions - 1,) if self.grid_axes == "time" else tuple(range(dimensions))
        return axes, (self.nodes,) * len(axes)

    def parameters(self, dimensions: int, channels: int) -> int:
        grids = math.prod(self._grid(dimensions)[1]) * 2 * self.hidden_layers if self.modulate else 0
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
        views, times = (
            self.modulate and beside
            for beside in (self.grid_axes == "view", self.grid_axes == "time" and domain.axes[-1].name != "t")
        )
        indexing = 2 if views else 1 if times else dimensions
        axes, nodes = self._grid(indexing)
        modulation = Modulation(indexing, axes, nodes, self.hidden_layers) if self.modulate else None
        # In [0, 1] a sigmoid, as the authors have it; other values are not bounded.
        sigmoid = channels.space == "srgb"
        return CamField(
            domain,
            channels,
            encoder,
            ModulatedMLP(network, modulation, self.normalise, sigmoid),
            offset=0.0 if sigmoid else 0.5,
            takes_directions=views,
            takes_time=times,
        )

    def parameter_groups(self, field: Field) -> list[dict]:
        groups = [{"params": list(field.network.network.parameters()), "lr": self.learning_rate, "sparse": False}]
        if self.modulate:
            groups.append(
                {"params": list(field.network.modulation.parameters()), "lr": self.grid_rate, "sparse": False}
            )
        return groups
