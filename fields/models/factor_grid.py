"""The field of grids and a network, with the regularisers and the opening of levels that such grids take."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.factor_grid import FactorGrid
from fields.models.field import CoordinateField
from fields.ops import backends
from scenes.domain import Channels, Domain


class FactorField(CoordinateField):
    """`grid` is the encoder, or a part of it. `coarse_to_fine`: share of the steps by which all levels are open (0: from the start).

    `at_rest(axes)`: the value that L1 pulls a grid's numbers to.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: nn.Module,
        network: nn.Module,
        *,
        total_variation: float = 0.0,
        absolute: float = 0.0,
        coarse_to_fine: float = 0.0,
        at_rest: Callable[[tuple[int, ...]], float] = lambda axes: 0.0,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self.total_variation = total_variation
        self.absolute = absolute
        self.coarse_to_fine = coarse_to_fine
        self.at_rest = at_rest

    @property
    def grid(self) -> FactorGrid:
        return self.encoder if isinstance(self.encoder, FactorGrid) else self.encoder.grid

    @property
    def backend(self) -> str:
        return "torch" if self.grid.requested_backend == "torch" else backends.name(self.grid.table.device.type)

    def before_step(self, step: int, total: int | None) -> None:
        if self.coarse_to_fine:
            self.grid.set_progress(schedule_progress(step, total, self.coarse_to_fine))

    def regularisation(self) -> Tensor | None:
        penalty = None
        if self.total_variation:
            penalty = self.total_variation * self.grid.total_variation()
        if self.absolute:
            absolute = self.absolute * self.grid.mean_absolute(self.at_rest)
            penalty = absolute if penalty is None else penalty + absolute
        return penalty
