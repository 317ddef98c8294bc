"""The field of adaptive radial basis functions and a hash grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields.encoders.rbf import GridAndKernels
from fields.models.field import CoordinateField
from fields.ops import backends
from scenes.domain import Channels, Domain

# Shapes of kernels that wait to be placed are multiplied with this: no point sees them. That is also how a field that is loaded knows.
HIDDEN = 1e25


class NeuRbfField(CoordinateField):
    """Coords `[..., D]` → features of the grid and of the nearest kernels → values `[..., C]`.

    Where the signal must be fitted to be looked at, its kernels are hidden until a share `after` of the steps is done; `place` then gives centres and
    shapes from what the grid alone has learned.
    """

    encoder: GridAndKernels

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: GridAndKernels,
        network: nn.Module,
        after: float = 0.0,
        place: Callable[[NeuRbfField], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self._after, self._place = after, place

    @torch.no_grad()
    def before_step(self, step: int, total: int | None) -> None:
        if self._place is None or total is None or step < int(self._after * total):
            return
        kernels = self.encoder.kernels
        if float(kernels.shapes.amax()) > HIDDEN:  # (not those that a run was resumed with)
            for old, new in zip((kernels.centres, kernels.shapes), self._place(self)):
                old.copy_(new)
        self._place = None

    @property
    def backend(self) -> str:
        kernels = self.encoder.kernels
        return "torch" if kernels.requested_backend == "torch" else backends.name(kernels.features.device.type)
