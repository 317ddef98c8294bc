"""Field of a network that generates whole frames."""

from __future__ import annotations

from torch import Tensor, nn

from fields.models.field import FrameField
from scenes.domain import Channels, Domain


class GeneratorField(FrameField):
    """Times `[T]` in [0, 1] → frames `[T, C, H, W]` in [0, 1], of the size of the video."""

    def __init__(self, domain: Domain, channels: Channels, generator: nn.Module) -> None:
        super().__init__(domain, channels)
        self.generator = generator

    def frames(self, times: Tensor) -> Tensor:
        return self.generator(times)
