"""`nstr`: waves with amplitudes from a small grid of states, then a network of sines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field as Option

from fields.methods.network import NetworkMethod
from fields.methods.options import Undecided, undecided
from fields.methods.pace import STATE_PACE
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.models.spectral import SpectralField
    from fields.networks.spectral import SpectralState
    from scenes.signal import Signal

# Nodes of the grid of states along each axis, and lowest frequency in radians per unit of [-1, 1], by the number of
# axes.
NODES = {1: 128, 2: 16, 3: 8}
MIN_FREQUENCY = {1: 10.0, 2: 4.0, 3: 2.0}
# Highest frequency of signals without a regular grid, whose spectrum cannot be computed.
DEFAULT_MAX_FREQUENCY = 60.0
# Samples along an axis of which the spectrum is computed, by the number of axes. A quarter of them are bins.
SPECTRUM_SIDE = {1: 1 << 15, 2: 256, 3: 132}
# Highest frequency as a multiple of the spectrum's mean frequency, chosen on one image, and as a fraction of the
# sample rate at most.
TIMES_MEAN = 1.5
MAX_RATE_FRACTION = 0.3


class Nstr(NetworkMethod):
    name = "nstr"
    summary = "learned waves whose amplitudes vary over a small grid, then sines; reports where its frequencies are"
    paper = "our design, inspired by Versace 2025, Neural Spectral Transport Representation (withdrawn and unverified)"
    dimensions = (1, 2, 3)
    why_dimensions = "its grid of spectral states is over one to three axes"
    size_options = ("width", "hidden_layers", "waves", "nodes", "state_size")
    frequency_option = "max_frequency"
    pace = STATE_PACE
    relative_rates = ("wave_rate", "state_rate")

    learning_rate: float = Option(
        6e-4, gt=0, le=1, description="Adam's learning rate for the network. 2e-3 suits small ones of about 56 units."
    )
    wave_rate: float = Option(
        10.0, gt=0, le=1e3, description="Learning rate of the waves' frequencies and phases, in units of learning_rate."
    )
    state_rate: float = Option(
        5.0, gt=0, le=1e3, description="Learning rate of the grid of states, in units of learning_rate."
    )
    final_rate: float = Option(
        0.02, ge=0, le=1, description="Fraction of the learning rates that is left at the last step (cosine schedule)."
    )
    width: int = Option(
        128, ge=1, le=8192, description="Units per hidden layer. More give more detail and slower steps."
    )
    hidden_layers: int = Option(3, ge=1, le=32, description="Number of hidden layers.")
    waves: int = Option(128, ge=1, le=8192, description="Number of learned waves that the network gets.")
    min_frequency: Undecided[float] = undecided(
        "Lowest frequency of the waves, in radians per unit of [-1, 1]. Default: 10, 4, 2 for 1 to 3 axes.",
        gt=0,
        le=1e5,
    )
    max_frequency: Undecided[float] = undecided(
        "Highest frequency of the waves at the start. Raise it for finer detail. Default: by the signal's spectrum.",
        gt=0,
        le=1e6,
    )
    nodes: Undecided[int] = undecided(
        "Nodes of the grid of states along each axis. Default: 128, 16, 8 for 1 to 3 axes.", ge=2, le=4096
    )
    state_size: int = Option(8, ge=1, le=256, description="Channels of the state at each node.")
    hidden_omega: float = Option(30.0, gt=0, le=1e3, description="Frequency of the network's sines.")
    mode: Literal["spectral", "control", "literal"] = Option(
        "spectral",
        description="control: without the states, to compare with. literal: the formula of the withdrawn paper, for "
        "reference.",
    )
    phases: bool = Option(False, description="States also shift the waves, instead of only scaling them.")
    interpolation: Literal["linear", "smoothstep"] = Option(
        "linear", description="Interpolation of the states. smoothstep has continuous slopes, for distances."
    )
    transport: Literal["joint", "observe", "off", "jet"] = Option(
        "joint",
        description="Learn how states change between nodes. joint: as a part of the loss. observe: without an effect "
        "on the fit. jet: it gives the slopes of the states. off: not at all.",
    )
    transport_weight: float = Option(
        1e-2, ge=0, le=1e4, description="Weight of the changes that the transport does not explain."
    )
    transport_curl: float = Option(
        0.0,
        ge=0,
        le=1e4,
        description="Weight of the transport's curl, in units of transport_weight. 0.1 gives changes that do not "
        "depend on the path.",
    )
    transport_width: int = Option(16, ge=1, le=1024, description="Hidden units of the transport's network.")
    backend: Literal["auto", "native", "torch"] = Option(
        "auto", description="What interpolates the states: native code where there is some, or torch."
    )

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        dimensions = self.axes_of(signal)
        update: dict[str, float] = {}
        if self.nodes is None:
            update["nodes"] = NODES[dimensions]
        low = MIN_FREQUENCY[dimensions] if self.min_frequency is None else self.min_frequency
        update["min_frequency"] = low
        if self.max_frequency is None:
            update["max_frequency"] = max(2 * low, _max_frequency(signal, dimensions))
        return method.model_copy(update=update)

    def with_width(self, width: int) -> Self:
        return self.model_copy(update={"width": width, "waves": max(1, round(self.waves * width / self.width))})

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        # The grid of states has a quarter of the parameters at most.
        nodes = self.nodes
        while nodes > 2 and nodes**dimensions * self.state_size > parameters / 4:
            nodes -= -(-nodes // 4)
        method = self.model_copy(update={"nodes": max(2, nodes)})
        return super(Nstr, method).sizes(dimensions, channels, parameters)

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return [stretch * frequency for frequency in (30.0, 60.0, 90.0, 120.0, 180.0, 240.0)]

    def parameters(self, dimensions: int, channels: int) -> int:
        inputs = 1 if self.mode == "literal" else self.waves
        network = mlp_parameters(inputs, self.width, self.hidden_layers, channels, bias=True)
        waves = self.waves * (dimensions + 1)
        if self.mode == "control":
            return waves + network
        size = self.state_size
        state = self.nodes**dimensions * size + (size * (2 if self.phases else 1) + 1) * self.waves
        if self.transport == "jet":
            hidden = self.transport_width
            state += (dimensions + size + 1) * hidden + (hidden + 1) * dimensions * size
        return waves + state + network

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.models.spectral import SpectralField
        from fields.networks.spectral import SpectralNetwork, Waves
        from fields.networks.transport import Transport

        generator = torch.Generator().manual_seed(seed)
        dimensions = domain.dimensions
        waves = Waves(dimensions, self.waves, low=self.min_frequency, high=self.max_frequency, generator=generator)
        state = None if self.mode == "control" else self._build_state(dimensions, seed)
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
        transport = None
        if state is not None and self.transport in ("joint", "observe"):
            transport = Transport(dimensions, self.state_size, self.transport_width, generator)
        return SpectralField(
            domain,
            channels,
            network,
            transport,
            weight=self.transport_weight,
            observe=self.transport == "observe",
            curl=self.transport_curl,
        )

    def _build_state(self, dimensions: int, seed: int) -> SpectralState:
        import torch

        from fields.networks.spectral import SpectralState
        from fields.networks.transport import Transport

        jet = None
        if self.transport == "jet":
            generator = torch.Generator().manual_seed(seed + 2)
            jet = Transport(dimensions, self.state_size, self.transport_width, generator)
        return SpectralState(
            (self.nodes,) * dimensions,
            self.state_size,
            self.waves,
            backend=self.backend,
            generator=torch.Generator().manual_seed(seed + 1),
            phases=self.phases,
            smooth=self.interpolation == "smoothstep",
            jet=jet,
        )

    def parameter_groups(self, field: SpectralField) -> list[dict[str, Any]]:
        network, state = field.network, field.network.state
        slow = [*network.hidden.parameters(), *network.output.parameters()]
        waves = [network.waves.omega, network.waves.phase]
        groups = [{"params": waves, "lr": self.learning_rate * self.wave_rate, "sparse": False}]
        if state is not None:
            for module in (state.amplitudes, state.phases, state.jet):
                slow += [] if module is None else module.parameters()
            groups.append({"params": [state.grid.table], "lr": self.learning_rate * self.state_rate, "sparse": False})
        if field.transport is not None:
            slow += field.transport.parameters()
        return [{"params": slow, "lr": self.learning_rate, "sparse": False}, *groups]


def _max_frequency(signal: Signal, dimensions: int) -> float:
    """Highest frequency of the waves for a signal, in radians per unit of [-1, 1]: 1.5 times its mean frequency."""
    from fields.init.spectrum import mean_frequency

    mean = mean_frequency(signal, SPECTRUM_SIDE[dimensions], dimensions)
    if mean is None:
        return DEFAULT_MAX_FREQUENCY
    fastest = max(n or 0 for n in signal.domain.shape[:dimensions])
    return round(min(TIMES_MEAN * math.pi * mean, MAX_RATE_FRACTION * math.pi * fastest), 1)
