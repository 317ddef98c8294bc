"""Options of methods whose parameters lie in grids: penalties on the grids, and the coarse-to-fine schedule."""

from __future__ import annotations

from pydantic import BaseModel, field_validator
from pydantic import Field as Option

from scenes.errors import BadInput

# Earliest end of the schedule, as a fraction of the steps. In the first tenth of the steps their number may still be
# unknown; see `fields.encoders.coarse_to_fine`.
EARLIEST_END = 0.2


class GridPenalties(BaseModel):
    total_variation: float = Option(
        0.0,
        ge=0,
        le=1e3,
        description="Weight of the squared differences of neighbouring nodes. Raise it to smooth noisy or sparse data.",
    )
    l1: float = Option(
        0.0,
        ge=0,
        le=1e3,
        description="Weight of the distance of the grids' values from their rest value: 0, or 1 in planes with time.",
    )
    coarse_to_fine: float = Option(
        0.0,
        ge=0,
        le=1,
        description="Fraction of the steps at which all levels are in full use, 0.2 or more. They fade in from coarse "
        "to fine. 0: all levels from the start.",
    )

    @field_validator("coarse_to_fine")
    @classmethod
    def _not_too_early(cls, value: float) -> float:
        if 0 < value < EARLIEST_END:
            raise ValueError(f"should be 0 (off) or at least {EARLIEST_END}")
        return value

    def check_levels(self, name: str, levels: int) -> None:
        """Raise BadInput where there is a coarse-to-fine schedule but only one level; `name` is the method's."""
        if self.coarse_to_fine and levels == 1:
            raise BadInput(
                f"coarse_to_fine={self.coarse_to_fine:g}: method {name} has one level, so there is nothing to fade in; "
                "add levels: `levels=4`"
            )
