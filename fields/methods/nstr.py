"""`nstr`: waves that are weighed from place to place by a small grid, then a network of sines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Nodes of the state's grid along each axis, by their number.
NODES = {1: 128, 2: 16, 3: 8}
LOWEST = {1: 10.0, 2: 4.0, 3: 2.0}
# Highest frequency in radians a unit of [-1, 1] where a signal's spectrum cannot be looked at.
UNSEEN = 60.0
# In the plane and in space, samples an axis that are looked at; a quarter of them are bins.
SIDES = {1: 1 << 15, 2: 256, 3: 132}
# Of the spectrum's mean frequency (our rule, of one picture), and of Nyquist's at most.
TIMES_MEAN, MOST = 1.5, 0.3


class Nstr(NetworkMethod):
    name = "nstr"
    summary = "learned waves, weighed from place to place by a small grid, then sines; tells where its frequencies are"
    paper = "our design, inspired by Versace 2025, Neural Spectral Transport Representation (withdrawn and unverified)"
    dimensions = (1, 2, 3)
    why_dimensions = "its grid of spectral states is over one to three axes"
    frequency_option = "highest"

    learning_rate: float = Option(
        1e-3, gt=0, le=1, description="Adam's step size for the network; 2e-3 suits small ones (56 units)"
    )
    wave_rate: float = Option(10.0, gt=0, le=1e3, description="times that for the waves' frequencies and phases")
    state_rate: float = Option(5.0, gt=0, le=1e3, description="times that for the grid of states")
    final_rate: float = Option(
        0.02, ge=0, le=1, description="share of the rates that is left at the last step (cosine)"
    )
    width: int = Option(128, ge=1, le=8192, description="units a hidden layer")
    hidden_layers: int = Option(3, ge=1, le=32, description="hidden layers")
    waves: int = Option(128, ge=1, le=8192, description="learned waves that the network starts from")
    lowest: float | None = Option(
        None,
        gt=0,
        le=1e5,
        description="lowest frequency of the waves, radians a unit of [-1, 1]; none: 10, 4, 2 for 1 to 3 axes",
    )
    highest: float | None = Option(
        None, gt=0, le=1e6, description="highest frequency at first; none: from the signal's spectrum"
    )
    nodes: int | None = Option(
        None, ge=2, le=4096, description="nodes of the grid of states along each axis; none: 128, 16, 8 for 1 to 3 axes"
    )
    state: int = Option(8, ge=1, le=256, description="numbers a node")
    hidden_omega: float = Option(30.0, gt=0, le=1e3, description="frequency of the network's sines")
    mode: Literal["spectral", "control", "literal"] = Option(
        "spectral", description="control: without the states; literal: the withdrawn formula, for reference"
    )
    phases: bool = Option(False, description="states move the waves too, not only weigh them")
    interpolation: Literal["linear", "smoothstep"] = Option(
        "linear", description="of the states; smoothstep has continuous slopes: for distances"
    )
    transport: Literal["joint", "observe", "off", "jet"] = Option(
        "joint",
        description="learn how states change from node to node: as a part of the loss, only looking on, or not; jet: it gives their slopes itself",
    )
    transport_weight: float = Option(1e-2, ge=0, le=1e4, description="weight of what the transport does not explain")
    transport_curl: float = Option(
        0.0,
        ge=0,
        le=1e4,
        description="times that, the weight of its curl: 0.1 for changes that do not depend on the way",
    )
    transport_width: int = Option(16, ge=1, le=1024, description="units of the transport's network")
    backend: Literal["auto", "native", "torch"] = Option("auto", description="who interpolates the states")

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        dimensions = self.axes_of(signal)
        update: dict[str, float] = {}
        if method.nodes is None:
            update["nodes"] = NODES[dimensions]
        if method.lowest is None:
            update["lowest"] = LOWEST[dimensions]
        if method.highest is None:
            update["highest"] = max(2 * (method.lowest or LOWEST[dimensions]), _highest(signal, dimensions))
        return method.model_copy(update=update)

    def with_width(self, width: int) -> Self:
        return self.model_copy(update={"width": width, "waves": max(1, round(self.waves * width / self.width))})

    def sizes(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        nodes = self.nodes
        while nodes > 2 and nodes**dimensions * self.state > parameters / 4:
            nodes -= -(-nodes // 4)
        method = self.model_copy(update={"nodes": max(2, nodes)})
        return super(Nstr, method).sizes(dimensions, channels, parameters)

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return [stretch * rho for rho in (30.0, 60.0, 90.0, 120.0, 180.0, 240.0)]

    def parameters(self, dimensions: int, channels: int) -> int:
        inputs = 1 if self.mode == "literal" else self.waves
        network = mlp_parameters(inputs, self.width, self.hidden_layers, channels, bias=True)
        if self.mode == "control":
            return self.waves * (dimensions + 1) + network
        state = self.nodes**dimensions * self.state + (self.state * (2 if self.phases else 1) + 1) * self.waves
        if self.transport == "jet":
            state += (dimensions + self.state + 1) * self.transport_width + (
                self.transport_width + 1
            ) * dimensions * self.state
        return self.waves * (dimensions + 1) + state + network

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.models.spectral import SpectralField
        from fields.networks.spectral import SpectralNetwork, SpectralState, Waves
        from fields.networks.transport import Transport

        generator = torch.Generator().manual_seed(seed)
        dimensions = domain.dimensions
        waves = Waves(dimensions, self.waves, low=self.lowest, high=self.highest, generator=generator)
        state = transport = None
        if self.mode != "control":
            jet = (
                Transport(dimensions, self.state, self.transport_width, torch.Generator().manual_seed(seed + 2))
                if self.transport == "jet"
                else None
            )
            state = SpectralState(
                (self.nodes,) * dimensions,
                self.state,
                self.waves,
                backend=self.backend,
                generator=torch.Generator().manual_seed(seed + 1),
                phases=self.phases,
                smooth=self.interpolation == "smoothstep",
                jet=jet,
            )
        network = SpectralNetwork(
            self.mode,
            waves,
            state,
            width=self.width,
            hidden_layers=self.hidden_layers,
            outputs=len(channels),
            hidden_omega=self.hidden_omega,
            generator=generator,
        )
        if state is not None and self.transport in ("joint", "observe"):
            transport = Transport(dimensions, self.state, self.transport_width, generator)
        return SpectralField(
            domain,
            channels,
            network,
            transport,
            weight=self.transport_weight,
            observe=self.transport == "observe",
            curl=self.transport_curl,
        )

    def parameter_groups(self, field: Field) -> list[dict]:
        network = field.network
        slow = [*network.hidden.parameters(), *network.output.parameters()]
        groups = [
            {
                "params": [network.waves.omega, network.waves.phase],
                "lr": self.learning_rate * self.wave_rate,
                "sparse": False,
            }
        ]
        if network.state is not None:
            slow += [
                p
                for part in (network.state.amplitudes, network.state.phases, network.state.jet)
                if part is not None
                for p in part.parameters()
            ]
            groups.append(
                {"params": [network.state.grid.table], "lr": self.learning_rate * self.state_rate, "sparse": False}
            )
        if field.transport is not None:
            slow += field.transport.parameters()
        return [{"params": slow, "lr": self.learning_rate, "sparse": False}, *groups]


def _highest(signal: Signal, dimensions: int) -> float:
    """Radians a unit of [-1, 1] for the fastest waves: one and a half times the signal's mean frequency."""
    import torch

    from fields.init.spectrum import centroid, diagonal_spectrum
    from scenes.errors import BadInput

    shape = signal.domain.shape[:dimensions]
    side = min(SIDES[dimensions], min(n or 0 for n in shape))
    try:
        values = torch.from_numpy(signal.on_grid(side)) if side >= 16 else None
    except (BadInput, AttributeError):  # scattered samples, or as little of a signal as a domain
        values = None
    if values is None:
        return UNSEEN
    spectrum = diagonal_spectrum(values, side // 4)
    mean = centroid(spectrum) if spectrum.sum() > 1e-6 * values[0].numel() else 0.0
    return round(min(TIMES_MEAN * math.pi * mean, MOST * math.pi * max(shape)), 1)
