"""Options of all methods whose numbers lie in grids: what is added to the loss for them, and levels that open one after another."""

from __future__ import annotations

from pydantic import BaseModel, field_validator
from pydantic import Field as Option

from scenes.errors import BadInput

# Opening levels before a tenth of the steps would need to know their number too early; see fields/encoders/coarse_to_fine.py.
EARLIEST_OPEN = 0.2


class GridPenalties(BaseModel):
    total_variation: float = Option(
        0.0, ge=0, le=1e3, description="weight of the squared differences of neighbouring nodes"
    )
    l1: float = Option(
        0.0,
        ge=0,
        le=1e3,
        description="weight of the numbers' distance from where they rest (0, or 1 in planes of time)",
    )
    coarse_to_fine: float = Option(
        0.0,
        ge=0,
        le=1,
        description="share of the steps by which all levels are open, 0.2 or more; 0: all from the start",
    )

    @field_validator("coarse_to_fine")
    @classmethod
    def _not_too_early(cls, value: float) -> float:
        if 0 < value < EARLIEST_OPEN:
            raise ValueError(f"should be 0 (off) or at least {EARLIEST_OPEN}")
        return value

    def refuse_one_level(self, levels: int) -> None:
        if self.coarse_to_fine and levels == 1:
            raise BadInput(
                f"coarse_to_fine={self.coarse_to_fine:g}: method {self.name} has one level, so there is nothing to open "
                "later; add levels: --set levels=4"
            )
