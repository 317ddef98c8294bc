"""What each method reached in a given time, from `figures.json`, which `python -m benchmarks.methods --store` writes.

The figures are of one machine, which the file names. They show what a method is good at, and what more time buys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Figure:
    """What a fit reached: `value` of `metric` in `unit` on a signal of a kind, in so many seconds and steps.

    rank, of: the place among the methods that were fitted to this signal in this time, from 1, and their number.
    """

    signal: str
    kind: str
    seconds: float
    metric: str
    value: float
    unit: str
    steps: int
    parameters: int
    rank: int
    of: int

    def __str__(self) -> str:
        value = f"{self.value:.1f} dB" if self.unit == "dB" else f"{self.metric} {self.value:.3f}"
        return f"{self.signal} {value} ({self.rank} of {self.of})"


def figures_of(method: str) -> list[Figure]:
    """The figures of a method, by kind, signal and time."""
    return _stored()["figures"].get(method, [])


def where() -> str:
    """The machine that the figures are from; empty where there are none."""
    return _stored()["machine"]


def lines(method: str, kind: str | None = None) -> list[str]:
    """A line for each time: what the method reached on each signal in it, of one kind where that is given."""
    by_time: dict[float, list[Figure]] = {}
    for figure in figures_of(method):
        if kind is None or figure.kind == kind:
            by_time.setdefault(figure.seconds, []).append(figure)
    return [f"{seconds:g} s: {', '.join(map(str, by_time[seconds]))}" for seconds in sorted(by_time)]


def to_json(method: str) -> list[dict[str, Any]]:
    """The figures of a method as plain data."""
    return [asdict(figure) for figure in figures_of(method)]


def ranked(rows: Iterable[dict]) -> dict[str, list[dict]]:
    """Rows of `benchmarks.methods` by method, with their ranks: what `figures.json` holds."""
    groups: dict[tuple[str, float], list[dict]] = {}
    for row in rows:
        method, signal, time = row["id"].split(":")
        figure = {"method": method, "signal": signal, "seconds": float(time.removesuffix("s"))}
        figure |= {name: row[name] for name in ("kind", "metric", "value", "unit", "steps", "parameters")}
        groups.setdefault((signal, figure["seconds"]), []).append(figure)
    found: dict[str, list[dict]] = {}
    for group in groups.values():
        best_first = sorted(group, key=lambda figure: -figure["value"])
        for rank, figure in enumerate(best_first, 1):
            found.setdefault(figure.pop("method"), []).append({**figure, "rank": rank, "of": len(group)})
    for own in found.values():
        own.sort(key=lambda figure: (figure["kind"], figure["signal"], figure["seconds"]))
    return dict(sorted(found.items()))


@cache
def _stored() -> dict[str, Any]:
    data = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"machine": "", "figures": {}}
    figures = {method: [Figure(**figure) for figure in own] for method, own in data["figures"].items()}
    return {"machine": data["machine"], "figures": figures}
