"""A field that knows how fast it changes, and how that changes: sines that are weighed from place to place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fields.encoders.frequency import Identity
from fields.field import CoordinateField
from fields.networks.spectral import SpectralNetwork, Transport
from fields.ops import backends
from scenes.domain import Channels, Domain

# The state has become the same everywhere where it varies less than this.
COLLAPSED = 1e-4


class SpectralField(CoordinateField):
    """Coords `[..., D]` → values `[..., C]`, and what may be looked at besides: `frequency`, `flow`, `explained`.

    `transport` (None: no transport) is trained beside the field and stored with it, but values do not need it, so that it does not count in
    `stored_numbers`. `weight` multiplies its residual in the loss; with `observe` the state does not feel it.
    """

    network: SpectralNetwork

    def __init__(self, domain: Domain, channels: Channels, network: SpectralNetwork, transport: Transport | None, weight: float, observe: bool) -> None:
        super().__init__(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
        self.transport = transport
        self.weight = weight
        self.observe = observe

    def features(self, coords: Tensor) -> Tensor:
        """The modulated waves `[..., K]`."""
        return self.network.modulated(coords)

    def decode(self, features: Tensor) -> Tensor:
        return self.network.decode(features) * self.scale + self.offset

    @property
    def stored_numbers(self) -> int:
        return sum(tensor.numel() for name, tensor in self.state_dict().items() if not name.startswith("transport."))

    @property
    def backend(self) -> str:
        state = self.network.state
        return "torch" if state is None or state.grid.requested_backend == "torch" else backends.name(state.grid.table.device.type)

    def regularisation(self) -> Tensor | None:
        if self.transport is None:
            return None
        nodes = self.network.state.nodes
        return self.weight * self.transport.residual(nodes.detach() if self.observe else nodes)[0]

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        if self.network.state is None:
            return {}
        nodes = self.network.state.nodes
        found = {"state_variance": float(nodes.flatten(0, -2).var(0, unbiased=False).mean())}
        if self.transport is not None:
            found["transport_explained"] = float(self.transport.residual(nodes)[1])
        return found

    def remarks(self) -> list[str]:
        if self.transport is not None and not self.observe and self.diagnostics()["state_variance"] < COLLAPSED:
            return ["the spectral state is the same everywhere: the transport outweighs the fit; lower transport_weight or set transport=observe"]
        return []

    @torch.no_grad()
    def frequency(self, coords: Tensor) -> Tensor:
        """The mean magnitude of the waves' frequencies at coords `[..., D]`, weighed by how much of each there is, in cycles across the
        domain `[...]`. The first layer's: what the network makes of its waves has harmonics."""
        shares = (1.0 + self._state(coords)).abs()
        speeds = self.network.waves.omega.norm(dim=-1)
        return (shares * speeds).sum(-1) / shares.sum(-1).clamp_min(1e-12) / math.pi

    @torch.no_grad()
    def flow(self, coords: Tensor) -> Tensor:
        """How the transport says that frequencies change per cell of the state's grid along each axis: `[..., D]`, in cycles across the domain."""
        state = self.network.state
        changes = self.transport(coords * 2.0 - 1.0, state.grid(coords))  # [..., D, m]
        speeds = self.network.waves.omega.norm(dim=-1)
        return (changes @ state.amplitudes.weight.T * speeds).sum(-1) / math.pi / len(speeds)

    def _state(self, coords: Tensor) -> Tensor:
        if self.network.mode == "control":
            return coords.new_zeros(*coords.shape[:-1], len(self.network.waves.omega))
        amplitudes = self.network.state(coords)
        return amplitudes - 1.0 if self.network.mode == "literal" else amplitudes
