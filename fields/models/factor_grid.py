"""Field of small grids and a network, with the penalties and the coarse-to-fine schedule of such grids."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.factor_grid import FactorGrid
from fields.encoders.tri_plane import TriPlane
from fields.models.field import CoordinateField
from fields.ops import backends
from scenes.domain import Channels, Domain


class FactorField(CoordinateField):
    """Coords `[..., D]` → features of the grids → values `[..., C]`.

    Args:
        domain: as in `Field`.
        channels: as in `Field`.
        encoder: the grids, alone or with the position beside them.
        network: features → values.
        total_variation: weight of the total variation in the loss.
        l1: weight of the grids' mean distance from their rest value in the loss.
        coarse_to_fine: fraction of the steps at which all levels are in full use; 0 for all levels from the start.
        rest_value: the value that the L1 penalty pulls a grid to, by the axes of the grid.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: FactorGrid | TriPlane,
        network: nn.Module,
        *,
        total_variation: float = 0.0,
        l1: float = 0.0,
        coarse_to_fine: float = 0.0,
        rest_value: Callable[[tuple[int, ...]], float] = lambda axes: 0.0,
    ) -> None:
        super().__init__(domain, channels, encoder, network)
        self.total_variation = total_variation
        self.l1 = l1
        self.coarse_to_fine = coarse_to_fine
        self.rest_value = rest_value

    @property
    def grid(self) -> FactorGrid:
        """The grids of the encoder."""
        grid = self.encoder.grid if isinstance(self.encoder, TriPlane) else self.encoder
        assert isinstance(grid, FactorGrid)
        return grid

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
        if self.l1:
            l1 = self.l1 * self.grid.mean_absolute(self.rest_value)
            penalty = l1 if penalty is None else penalty + l1
        return penalty
