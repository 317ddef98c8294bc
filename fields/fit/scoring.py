"""Scoring within a time: parts that are spread evenly, estimates from growing parts, and what was left out.

A field that has learned nothing can take minutes to score: a scene of fog has no empty space to skip, and the surface
of noise has millions of triangles. An objective whose time is limited scores as large a part as the time allows, and
says how large it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# A part that is measured takes at least this many seconds, so that the clock and first uses do not decide.
MEASURED_SECONDS = 0.05
# Factor by which a measured part grows while it takes less.
GROWTH = 4


@dataclass(frozen=True)
class ScoredPart:
    """What metrics are computed of where time did not suffice for all: a fraction in (0, 1) of `of`, in the plural.

    Example: `ScoredPart(0.4, "pixels")`.
    """

    fraction: float
    of: str

    def __str__(self) -> str:
        return f"{100 * self.fraction:.2g} % of the {self.of}"

    def to_json(self) -> dict[str, float | str]:
        """Plain data, for `metrics.json`."""
        return {"fraction": round(self.fraction, 6), "of": self.of}

    @classmethod
    def from_json(cls, data: dict) -> ScoredPart:
        """What `to_json` gave."""
        return cls(float(data["fraction"]), str(data["of"]))


def scored_part(done: int, total: int, of: str) -> ScoredPart | None:
    """The part that `done` of `total` are; None where that is all."""
    return ScoredPart(done / total, of) if done < total else None


def parts_within(count: int, seconds: float, later: Callable[[], float] = lambda: 0.0) -> Iterator[int]:
    """Indices of parts, as many as can be dealt with in the time; at least one, and each at most once.

    The order spreads them evenly, so that the parts of an ended iteration stand for all.

    `later`: seconds that each part will cost after the iteration; asked for after the first part.
    """
    begun = time.perf_counter()
    for done, index in enumerate(sorted(range(count), key=_reversed_bits)):
        if done:
            spent = time.perf_counter() - begun
            if spent * (done + 1) / done + later() * (done + 1) > seconds:
                return
        yield index


def estimated_seconds(part: Callable[[int], int | None], total: int, first: int) -> float:
    """Estimated time of work on `total` items, measured on parts that grow until one takes long enough.

    `part`: does the work on about so many items; returns how many they were, where that is another number. `first`:
    items of the first part.
    """
    count = min(first, total)
    while True:
        begun = time.perf_counter()
        done = part(count) or count
        spent = time.perf_counter() - begun
        if spent >= MEASURED_SECONDS or count == total:
            return spent * total / done
        count = min(total, GROWTH * count)


class OutOfTime(Exception):
    """A deadline has passed, or what comes would pass it."""


class Deadline:
    """The end of a time that begins now. `seconds` may be infinite."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    @property
    def left(self) -> float:
        """Seconds until the end; below 0 after it."""
        return self._end - time.perf_counter()

    def check(self, coming: float = 0.0) -> None:
        """Raise OutOfTime where less than `coming` seconds are left."""
        if self.left < coming:
            raise OutOfTime


def _reversed_bits(index: int) -> int:
    """The bits of a non-negative number below 2^32 in reverse (van der Corput's order)."""
    return int(f"{index:032b}"[::-1], 2)
