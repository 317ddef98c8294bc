"""Field of adaptive radial basis functions and a hash grid (Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields.encoders.rbf import GridAndKernels
from fields.models.field import CoordinateField
from fields.ops import backends
from scenes.domain import Channels, Domain

# Factor on the shapes of kernels that are not placed yet: no point is near enough to get anything of them. A field
# that is loaded also knows by it that its kernels still have to be placed.
HIDDEN = 1e25


class NeuRbfField(CoordinateField):
    """Coords `[..., D]` → features of the grid and of the nearest kernels → values `[..., C]`.

    With `place`, kernels are hidden until the fraction `place_after` of the steps is done. `place(field)` then gives
    their centres and shapes, from what the grid alone has learned.
    """

    encoder: GridAndKernels

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: GridAndKernels,
        network: nn.Module,
        *,
        place_after: float = 0.0,
        place: Callable[[NeuRbfField], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self._place_after, self._place = place_after, place

    @torch.no_grad()
    def before_step(self, step: int, total: int | None) -> None:
        if self._place is None or total is None or step < int(self._place_after * total):
            return
        kernels = self.encoder.kernels
        # A run that is resumed may have placed its kernels before.
        if float(kernels.shapes.amax()) > HIDDEN:
            centres, shapes = self._place(self)
            kernels.centres.copy_(centres)
            kernels.shapes.copy_(shapes)
        self._place = None

    @property
    def backend(self) -> str:
        kernels = self.encoder.kernels
        return "torch" if kernels.requested_backend == "torch" else backends.name(kernels.features.device.type)
