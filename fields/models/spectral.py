"""Field of waves with varying amplitudes, which can report its local frequency and how it changes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fields.encoders.frequency import Identity
from fields.models.field import CoordinateField
from fields.networks.spectral import SpectralNetwork, SpectralState
from fields.networks.transport import Transport
from fields.ops import backends
from scenes.domain import Channels, Domain

# Variance of the states below which they count as the same everywhere.
COLLAPSED_VARIANCE = 1e-4


class SpectralField(CoordinateField):
    """Coords `[..., D]` → values `[..., C]`, and maps of `frequency`, `orientation`, `flow` and `explained`.

    Args:
        domain: as in `Field`.
        channels: as in `Field`.
        network: the waves, their state and their decoder.
        transport: network that learns how the state changes, or None. It is trained and stored with the field. Values
            do not need it, so it does not count in `num_parameters`; a state with a `jet` has its own, which does
            count.
        weight: weight of the transport's residual in the loss.
        observe: train the transport alone with it; the state gets no gradients of the residual.
        curl: weight of the transport's curl, as a multiple of `weight`.
    """

    network: SpectralNetwork

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        network: SpectralNetwork,
        transport: Transport | None,
        *,
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
        """Waves times their amplitudes, `[..., K]`."""
        return self.network.modulated(coords)

    def decode(self, features: Tensor) -> Tensor:
        return self.network.decode(features) * self.scale + self.offset

    @property
    def num_parameters(self) -> int:
        return sum(tensor.numel() for name, tensor in self.state_dict().items() if not name.startswith("transport."))

    @property
    def backend(self) -> str:
        state = self.network.state
        if state is None or state.grid.requested_backend == "torch":
            return "torch"
        return backends.name(state.grid.table.device.type)

    def regularisation(self) -> Tensor | None:
        if self.transport is None:
            return None
        nodes = self._state.nodes.detach() if self.observe else self._state.nodes
        loss = self.transport.residual(nodes)[0]
        return self.weight * (loss + self.curl * self.transport.curl(nodes) if self.curl else loss)

    @property
    def _state(self) -> SpectralState:
        """The state. ValueError for the control, which has none."""
        if self.network.state is None:
            raise ValueError("this field has no spectral state")
        return self.network.state

    @property
    def state_changes(self) -> Transport | None:
        """Network that predicts the changes of the state between nodes: its `jet` or the transport, or None."""
        state = self.network.state
        return self.transport if state is None or state.jet is None else state.jet

    def _known_changes(self) -> Transport:
        """`state_changes`. ValueError where there are none."""
        changes = self.state_changes
        if changes is None:
            raise ValueError("this field has no transport")
        return changes

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        state = self.network.state
        if state is None:
            return {}
        found = {"state_variance": float(state.nodes.flatten(0, -2).var(0, unbiased=False).mean())}
        if self.state_changes is not None:
            found["transport_explained"] = float(self.state_changes.residual(state.nodes)[1])
        return found

    def remarks(self) -> list[str]:
        collapsed = self.transport is not None and self.diagnostics()["state_variance"] < COLLAPSED_VARIANCE
        if collapsed and not self.observe:
            return [
                "the spectral state is the same everywhere: the transport outweighs the fit; "
                "lower transport_weight or set transport=observe"
            ]
        return []

    @torch.no_grad()
    def frequency(self, coords: Tensor) -> Tensor:
        """Mean frequency of the waves at coords `[..., D]`, weighted by their amplitudes: `[...]`, in cycles per axis.

        It is that of the first layer. The network that decodes the waves adds harmonics.
        """
        weights = (1.0 + self._amplitudes(coords)).abs()
        magnitudes = self._frequencies(coords).norm(dim=-1)
        return (weights * magnitudes).sum(-1) / weights.sum(-1).clamp_min(1e-12) / math.pi

    @torch.no_grad()
    def orientation(self, coords: Tensor) -> Tensor:
        """Direction of the strongest change at coords `[..., 2]`, and how much it dominates: `[..., 2]`.

        The direction is an angle in [0, pi), from x towards y. The dominance is 0 where all directions are alike and
        1 where there is only one. Waves count by their amplitude and the square of their frequency. ValueError for
        fields that are not of the plane.
        """
        omega = self._frequencies(coords)
        if omega.shape[-1] != 2:
            raise ValueError(f"an orientation is of the plane, and this field has {omega.shape[-1]} axes")
        weights = (1.0 + self._amplitudes(coords)).abs()
        x, y = omega.unbind(-1)
        # A wave has no sign: angles are doubled before they are averaged.
        across, along = (weights * 2.0 * x * y).sum(-1), (weights * (x * x - y * y)).sum(-1)
        total = (weights * (x * x + y * y)).sum(-1).clamp_min(1e-12)
        angle = (torch.atan2(across, along) / 2.0) % math.pi
        return torch.stack([angle, torch.hypot(across, along) / total], dim=-1)

    @torch.no_grad()
    def explained(self, coords: Tensor) -> Tensor:
        """Fraction `[...]` of the changes of the state in the cell at coords `[..., D]` that the transport explains."""
        cells = self._known_changes().explained(self._state.nodes)
        index = [(coords[..., axis] * n).long().clamp(0, n - 1) for axis, n in enumerate(reversed(cells.shape))]
        return cells[tuple(reversed(index))]

    @torch.no_grad()
    def flow(self, coords: Tensor) -> Tensor:
        """Predicted change of the mean frequency per grid cell along each axis, at coords `[..., D]`.

        `[..., D]`, in cycles across the domain.
        """
        state = self._state
        changes = self._known_changes()(coords * 2.0 - 1.0, state.at(coords))  # [..., D, m]
        magnitudes = self.network.waves.omega.norm(dim=-1)
        return (changes @ state.amplitudes.weight.T * magnitudes).sum(-1) / math.pi / len(magnitudes)

    def _frequencies(self, coords: Tensor) -> Tensor:
        """Frequencies omega_i `[..., K, D]` or `[K, D]`, with what the slope of the phases adds to them."""
        omega, state = self.network.waves.omega, self.network.state
        if state is None or state.phases is None:
            return omega
        drift = []
        for axis, n in enumerate(reversed(state.nodes.shape[:-1])):
            step = torch.zeros(coords.shape[-1], device=coords.device)
            step[axis] = 0.25 / (n - 1)
            ends = (coords + step).clamp(0, 1), (coords - step).clamp(0, 1)
            change = state.phases(state.at(ends[0])) - state.phases(state.at(ends[1]))
            # Per unit of [-1, 1].
            drift.append(change / (2.0 * (ends[0] - ends[1])[..., axis : axis + 1]))
        return omega + torch.stack(drift, dim=-1)

    def _amplitudes(self, coords: Tensor) -> Tensor:
        """Amplitudes of the waves above 1, S `[..., K]`."""
        if self.network.state is None:
            return coords.new_zeros(*coords.shape[:-1], len(self.network.waves.omega))
        amplitudes = self.network.state(coords)
        return amplitudes - 1.0 if self.network.mode == "literal" else amplitudes
