"""`cam`: Fourier features and an MLP whose layers are scaled and shifted by small grids over the coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.methods.fourier import Fourier
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.field import Field
    from scenes.signal import Signal

# Nodes along an axis of the grid, by how many axes it has: the authors' for sound and pictures; a cube is our extension.
NODES = {1: 64, 2: 32, 3: 16, 4: 8}


class Cam(Fourier):
    name = "cam"
    summary = "Fourier features, then an MLP whose layers are scaled and shifted by small grids over the coordinates"
    paper = "Lee et al. 2024, Coordinate-Aware Modulation for Neural Fields"

    grid_rate: float = Option(1e-2, gt=0, le=1, description="Adam's step size for the grids, ten times the network's as the authors have it")
    hidden_layers: int = Option(3, ge=1, le=32, description="hidden layers")
    modulate: bool = Option(True, description="false: the same network without the grids")
    normalise: bool = Option(True, description="standardise each sample's features before they are scaled")
    grid_axes: Literal["auto", "all", "time"] = Option(
        "auto", description="coordinates that index the grids; auto: time where there is such an axis, else all")
    nodes: int | None = Option(None, ge=2, le=4096, description="nodes along each axis of a grid; none: 64, 32, 16, 8 for 1 to 4 axes")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        names = [axis.name for axis in signal.domain.axes]
        if self.grid_axes == "time" and "t" not in names:
            raise BadInput(f"grid_axes=time: this {signal.kind} has no axis t, only {', '.join(names)}")
        if method.grid_axes == "auto":
            timed = "t" in names and len(names) > 1
            method = method.model_copy(update={"grid_axes": "time" if timed else "all"})
        if method.nodes is None:
            count = 1 if method.grid_axes == "time" else len(names)
            method = method.model_copy(update={"nodes": NODES[count]})
        return method

    def _axes(self, dimensions: int) -> tuple[int, ...]:
        # (time is the last axis wherever there is one)
        return (dimensions - 1,) if self.grid_axes == "time" else tuple(range(dimensions))

    def parameters(self, dimensions: int, channels: int) -> int:
        grids = self.nodes ** len(self._axes(dimensions)) * 2 * self.hidden_layers
        return super().parameters(dimensions, channels) + (grids if self.modulate else 0)

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.cam_field import CamField
        from fields.encoders.frequency import Fourier as Encoder
        from fields.networks.cam import ModulatedMLP, Modulation
        from fields.networks.mlp import MLP

        generator = torch.Generator().manual_seed(seed)
        dimensions = domain.dimensions
        encoder = Encoder(dimensions, self.frequencies, self.sigma, generator)
        network = MLP(encoder.outputs, self.width, self.hidden_layers, len(channels), bias=True, generator=generator)
        axes = self._axes(dimensions)
        modulation = Modulation(dimensions, axes, (self.nodes,) * len(axes), self.hidden_layers) if self.modulate else None
        # In [0, 1] a sigmoid, as the authors have it; other values are not bounded.
        sigmoid = channels.space == "srgb"
        return CamField(domain, channels, encoder, ModulatedMLP(network, modulation, self.normalise, sigmoid), 0.0 if sigmoid else 0.5)

    def parameter_groups(self, field: Field) -> list[dict]:
        groups = [{"params": list(field.network.network.parameters()), "lr": self.learning_rate, "sparse": False}]
        if self.modulate:
            groups.append({"params": list(field.network.modulation.parameters()), "lr": self.grid_rate, "sparse": False})
        return groups
