"""What a field is: a module that knows what it was measured over, and the three ways of asking it.

What a field can do, told by the base classes it has, decides which objectives, exports and distillation stages
apply to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scenes.domain import Channels, Domain


class Field(nn.Module):
    """A fitted (or to be fitted) signal. It carries its domain and channels in every checkpoint."""

    def __init__(self, domain: Domain, channels: Channels) -> None:
        super().__init__()
        self.domain = domain
        self.channels = channels

    @property
    def num_parameters(self) -> int:
        """How many numbers inference needs, frozen ones (buffers) included: the metric `parameters`."""
        return sum(tensor.numel() for tensor in self.state_dict().values())

    @property
    def backend(self) -> str:
        """Who does the heavy work: "native-cpu", "native-cuda" or "torch"."""
        return "torch"

    def fused_step(self, loss: str):
        """A native training step for this loss (see `fields.fit.trainer`), or None: the Trainer then uses autograd."""
        return None

    def before_step(self, step: int, total: int | None) -> None:
        """Called before each training step (`total` is None while it is open); coarse-to-fine fields go by it."""

    def regularisation(self) -> Tensor | None:
        """What training adds to the loss of a batch, weights included; None: nothing. Fused steps do not ask."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """What the field tells of itself beside the metrics of its signal, which a run keeps with them."""
        return {}

    def remarks(self) -> list[str]:
        """What a person should know of this fit, a line each."""
        return []


class PointField(Field):
    """A map from points to values (pictures, sound, clips as volumes, distances)."""

    def forward(self, coords: Tensor) -> Tensor:
        """Values `[..., C]` at `coords` `[..., D]` in [0, 1]^D, same dtype."""
        raise NotImplementedError

    def at(self, *position: Tensor | float) -> Tensor:
        """Values `[..., C]` in the signal's own units, one argument an axis: `field.at(384.5, 256.5)` for pixels."""
        parts = torch.broadcast_tensors(*(torch.as_tensor(p, dtype=torch.float32) for p in position))
        axes = self.domain.axes
        if len(parts) != len(axes):
            raise ValueError(f"this field has {len(axes)} axes ({', '.join(a.name for a in axes)}), not {len(parts)}")
        coords = torch.stack([(p - a.lower) / (a.upper - a.lower) for p, a in zip(parts, axes)], dim=-1)
        lower, upper = self.channels.lower, self.channels.upper
        with torch.no_grad():
            return self(coords.to(next(self.parameters()).device)) * (upper - lower) + lower


class RadianceField(Field):
    """Density and view-dependent colour, to be rendered along rays."""

    def density(self, coords: Tensor, time: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`(density [...], feature [..., F])` at `coords` `[..., 3]` in [0, 1]^3."""
        raise NotImplementedError

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        """Colours `[..., 3]` of `feature` `[..., F]` seen along unit `directions` `[..., 3]`."""
        raise NotImplementedError


class FrameField(Field):
    """Whole frames from a time."""

    def frames(self, times: Tensor) -> Tensor:
        """Frames `[T, C, H, W]` at `times` `[T]` in [0, 1]."""
        raise NotImplementedError


class CoordinateField(PointField):
    """Encoder, then network, then a fixed affine map of the output to the signal's range.

    `features` and `decode` are the halves that distillation matches. `scale` and `offset` turn what the network is
    trained to give (say [-1, 1]) into the signal's values.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: nn.Module,
        network: nn.Module,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.scale = scale
        self.offset = offset

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` at `coords` `[..., D]`."""
        return self.encoder(coords)

    def decode(self, features: Tensor) -> Tensor:
        """Values `[..., C]` of `features` `[..., F]`."""
        return self.network(features) * self.scale + self.offset

    def forward(self, coords: Tensor) -> Tensor:
        return self.decode(self.features(coords))
