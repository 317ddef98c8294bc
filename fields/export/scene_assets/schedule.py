"""How the time of a reconstruction is divided among its stages."""

from __future__ import annotations

import time
from collections.abc import Collection

# Stages after the fit, in their order: the fraction of the whole time that is kept free for each, and the most seconds
# that it can use. The fit gets the rest, which gains more from it than they do.
STAGES: dict[str, tuple[float, float]] = {
    "surface": (0.025, 25.0),
    "simplify": (0.007, 10.0),
    "refine": (0.065, 60.0),
    "charts": (0.02, 40.0),
    "texture": (0.085, 90.0),
    "normals": (0.0, 15.0),
    "file": (0.005, 10.0),
    "report": (0.018, 10.0),
}
# Factor on a stage's time, at most, where earlier ones left some over.
STRETCH = 1.5
# Fractions of the whole time for the fit of a whole scene, and for cutting out its subject, where that is done.
WHOLE, SUBJECT = 0.35, 0.08


class Schedule:
    """Seconds for each stage of a reconstruction, so that all of it ends in time.

    seconds: the whole budget. spent: seconds of it that earlier sittings took. without: names of stages that are not
    done.
    """

    def __init__(self, seconds: float, spent: float = 0.0, without: Collection[str] = ()) -> None:
        self.seconds = seconds
        self._stages = [name for name in STAGES if name not in without]
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
        later = sum(self._most(name) for name in self._stages)
        return max(0.2 * self.seconds, self.left - later)

    def for_whole(self) -> float:
        """Seconds for the fit of all that photographs show, where only a part is wanted."""
        return WHOLE * self.seconds

    def for_subject(self) -> float:
        """Seconds for cutting out that part."""
        return SUBJECT * self.seconds

    def for_stage(self, name: str) -> float:
        """Seconds for a stage after the fit: less where time is short, and what others left over."""
        if name == "colors":
            return self.for_stage("charts") + self.for_stage("texture")
        if name not in self._stages:
            return 0.0
        wanted = sum(self._most(later) for later in self._stages[self._stages.index(name) :])
        return min(self._most(name) * min(STRETCH, self.left / wanted), STAGES[name][1]) if wanted else 0.0

    def _most(self, name: str) -> float:
        fraction, most = STAGES[name]
        return min(fraction * self.seconds, most)
