"""How the time of a reconstruction is divided among its stages."""

from __future__ import annotations

import time

# Stages after the fit, in their order: the fraction of the whole time that each may take, and the most seconds that it
# can use. The fit gets the rest.
STAGES: dict[str, tuple[float, float]] = {
    "surface": (0.04, 25.0),
    "simplify": (0.015, 10.0),
    "refine": (0.09, 60.0),
    "charts": (0.04, 40.0),
    "texture": (0.09, 90.0),
    "normals": (0.0, 15.0),
    "file": (0.01, 10.0),
    "report": (0.015, 10.0),
}
# Fractions of the whole time for the fit of a whole scene, and for cutting out its subject, where that is done.
WHOLE, SUBJECT = 0.35, 0.1


class Schedule:
    """Seconds for each stage of a reconstruction, so that all of it ends in time.

    seconds: the whole budget. spent: seconds of it that earlier sittings took.
    """

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self._started = time.perf_counter() - spent

    @property
    def elapsed(self) -> float:
        """Seconds of the budget that are spent."""
        return time.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds of the budget that are left, 0 or more."""
        return max(0.0, self.seconds - self.elapsed)

    def for_fit(self) -> float:
        """Seconds for the fit: what the later stages leave, and at least a fifth of the budget."""
        later = sum(self._most(name) for name in STAGES)
        return max(0.2 * self.seconds, self.left - later)

    def for_whole(self) -> float:
        """Seconds for the fit of all that photographs show, where only a part is wanted."""
        return WHOLE * self.seconds

    def for_subject(self) -> float:
        """Seconds for cutting out that part."""
        return SUBJECT * self.seconds

    def for_stage(self, name: str) -> float:
        """Seconds for a stage after the fit. Where time has become short, all that remain get less."""
        if name == "colors":
            return self.for_stage("charts") + self.for_stage("texture")
        names = list(STAGES)
        wanted = sum(self._most(later) for later in names[names.index(name) :])
        return self._most(name) * min(1.0, self.left / wanted) if wanted else 0.0

    def _most(self, name: str) -> float:
        fraction, most = STAGES[name]
        return min(fraction * self.seconds, most)
