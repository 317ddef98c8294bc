"""A field that knows how fast it changes, and how that changes: sines that are weighed from place to place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fields.encoders.frequency import Identity
from fields.models.field import CoordinateField
from fields.networks.spectral import SpectralNetwork
from fields.networks.transport import Transport
from fields.ops import backends
from scenes.domain import Channels, Domain

# The state has become the same everywhere where it varies less than this.
COLLAPSED = 1e-4


class SpectralField(CoordinateField):
    """Coords `[..., D]` → values `[..., C]`, and what may be looked at besides: `frequency`, `flow`, `explained`.

    `transport` (None: no transport) is trained beside the field and stored with it, but values do not need it, so that it does not count in
    `num_parameters`; a state whose slopes it gives (`jet`) has it itself, where it counts. `weight` multiplies its residual in the loss, `curl` times that
    its curl; with `observe` the state does not feel them.
    """

    network: SpectralNetwork

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        network: SpectralNetwork,
        transport: Transport | None,
        weight: float,
        observe: bool,
        curl: float = 0.0,
    ) -> None:
        super().__init__(domain, channels, Identity(domain.dimensions), network, scale=0.5, offset=0.5)
        self.transport = transport
        self.weight = weight
        self.observe = observe
        self.curl = curl

    def features(self, coords: Tensor) -> Tensor:
        """The modulated waves `[..., K]`."""
        return self.network.modulated(coords)

    def decode(self, features: Tensor) -> Tensor:
        return self.network.decode(features) * self.scale + self.offset

    @property
    def num_parameters(self) -> int:
        return sum(tensor.numel() for name, tensor in self.state_dict().items() if not name.startswith("transport."))

    @property
    def backend(self) -> str:
        state = self.network.state
        return (
            "torch"
            if state is None or state.grid.requested_backend == "torch"
            else backends.name(state.grid.table.device.type)
        )

    def regularisation(self) -> Tensor | None:
        if self.transport is None:
            return None
        nodes = self.network.state.nodes.detach() if self.observe else self.network.state.nodes
        left = self.transport.residual(nodes)[0]
        return self.weight * (left + self.curl * self.transport.curl(nodes) if self.curl else left)

    @property
    def slopes(self) -> Transport | None:
        """Who tells how the state changes."""
        return (
            self.transport if self.network.state is None or self.network.state.jet is None else self.network.state.jet
        )

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        if self.network.state is None:
            return {}
        nodes = self.network.state.nodes
        found = {"state_variance": float(nodes.flatten(0, -2).var(0, unbiased=False).mean())}
        if self.slopes is not None:
            found["transport_explained"] = float(self.slopes.residual(nodes)[1])
        return found

    def remarks(self) -> list[str]:
        if self.transport is not None and not self.observe and self.diagnostics()["state_variance"] < COLLAPSED:
            return [
                "the spectral state is the same everywhere: the transport outweighs the fit; lower transport_weight or set transport=observe"
            ]
        return []

    @torch.no_grad()
    def frequency(self, coords: Tensor) -> Tensor:
        """The mean magnitude of the waves' frequencies at coords `[..., D]`, weighed by how much of each there is, in cycles across the
        domain `[...]`. The first layer's: what the network makes of its waves has harmonics."""
        shares = (1.0 + self._state(coords)).abs()
        speeds = self._frequencies(coords).norm(dim=-1)
        return (shares * speeds).sum(-1) / shares.sum(-1).clamp_min(1e-12) / math.pi

    @torch.no_grad()
    def orientation(self, coords: Tensor) -> Tensor:
        """In the plane, the angle in [0, pi) of the direction along which the field changes most, from x towards y, and how much one direction leads the
        others (0: all alike, 1: it alone): `[..., 2]`. Waves count by how much of each there is and the square of their frequency."""
        omega = self._frequencies(coords)
        if omega.shape[-1] != 2:
            raise ValueError(f"an orientation is of the plane, and this field has {omega.shape[-1]} axes")
        power = (1.0 + self._state(coords)).abs()
        x, y = omega.unbind(-1)
        # (the double angle: a wave has no sign)
        across, along = (power * 2.0 * x * y).sum(-1), (power * (x * x - y * y)).sum(-1)
        total = (power * (x * x + y * y)).sum(-1).clamp_min(1e-12)
        return torch.stack([(torch.atan2(across, along) / 2.0) % math.pi, torch.hypot(across, along) / total], dim=-1)

    @torch.no_grad()
    def explained(self, coords: Tensor) -> Tensor:
        """In the cell of the state's grid around each of coords `[..., D]`, the share of the state's changes that the transport explains `[...]`."""
        cells = self.slopes.explained(self.network.state.nodes)
        place = [(coords[..., axis] * n).long().clamp(0, n - 1) for axis, n in enumerate(reversed(cells.shape))]
        return cells[tuple(reversed(place))]

    def _frequencies(self, coords: Tensor) -> Tensor:
        """omega_i, `[..., K, D]` or `[K, D]`, with what the phases add to it from place to place."""
        omega, state = self.network.waves.omega, self.network.state
        if state is None or state.phases is None:
            return omega
        drift = []
        for axis, n in enumerate(reversed(state.nodes.shape[:-1])):
            step = torch.zeros(coords.shape[-1], device=coords.device)
            step[axis] = 0.25 / (n - 1)
            ends = (coords + step).clamp(0, 1), (coords - step).clamp(0, 1)
            change = state.phases(state.at(ends[0])) - state.phases(state.at(ends[1]))
            drift.append(change / (2.0 * (ends[0] - ends[1])[..., axis : axis + 1]))  # per unit of [-1, 1]
        return omega + torch.stack(drift, dim=-1)

    @torch.no_grad()
    def flow(self, coords: Tensor) -> Tensor:
        """How the transport says that frequencies change per cell of the state's grid along each axis: `[..., D]`, in cycles across the domain."""
        state = self.network.state
        changes = self.slopes(coords * 2.0 - 1.0, state.at(coords))  # [..., D, m]
        speeds = self.network.waves.omega.norm(dim=-1)
        return (changes @ state.amplitudes.weight.T * speeds).sum(-1) / math.pi / len(speeds)

    def _state(self, coords: Tensor) -> Tensor:
        if self.network.mode == "control":
            return coords.new_zeros(*coords.shape[:-1], len(self.network.waves.omega))
        amplitudes = self.network.state(coords)
        return amplitudes - 1.0 if self.network.mode == "literal" else amplitudes
