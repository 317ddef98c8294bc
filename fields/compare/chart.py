"""Curves as SVG that takes its colours from the page it stands in (light or dark), and as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

# Told apart by most eyes, on white and on black.
COLORS = ("#d9733a", "#2f86ad", "#7f62c4", "#3c9a61", "#c4507a", "#9c8420", "#5a72e0", "#8d7263")
WIDE, NARROW, SMALL = (720, 320), (420, 280), (300, 210)
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 40
LETTER = 7  # about as wide as a letter of the legend is


@dataclass(frozen=True)
class Line:
    """`points` are (x, y), in rising order of x; lines of one name share a colour and a place in the legend."""

    name: str
    points: Sequence[tuple[float, float]]


def svg(
    lines: Sequence[Line], x: str, y: str, logarithmic: bool = False, label: str = "", size: tuple[int, int] = WIDE
) -> str:
    """A drawing of so many units that scales with its place; text and axes are `currentColor`."""
    width, height = size
    lines = [Line(line.name, clean) for line in lines if (clean := _usable(line.points, logarithmic))]
    if not lines:
        return ""
    names = list(dict.fromkeys(line.name for line in lines))
    shown = (lambda value: math.log10(value)) if logarithmic else (lambda value: value)
    xs = [shown(p[0]) for line in lines for p in line.points]
    ys = [p[1] for line in lines for p in line.points]
    x_range, y_range = _padded(min(xs), max(xs), 0.0), _padded(min(ys), max(ys), 0.05)

    # Long numbers beside the axis want their room.
    edge = max(LEFT, 30 + LETTER * max((len(f"{value:g}") for value in ticks(*y_range)), default=0))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = (shown(point[0]) - x_range[0]) / (x_range[1] - x_range[0])
        up = (point[1] - y_range[0]) / (y_range[1] - y_range[0])
        return edge + across * (width - edge - RIGHT), height - BOTTOM - up * (height - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label or f"{y} against {x}", quote=True)}" '
        'font-size="12" font-family="inherit" fill="currentColor">'
    ]
    for value in ticks(*y_range):
        level = place((lines[0].points[0][0], value))[1]
        parts.append(
            f'<line x1="{edge}" x2="{width - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" stroke="currentColor" opacity=".13"/>'
            f'<text x="{edge - 7}" y="{level + 4:.1f}" text-anchor="end" opacity=".75">{value:g}</text>'
        )
    free = 0.0
    for value in _decades(*x_range) if logarithmic else ticks(*x_range):
        across, half = place((value, ys[0]))[0], LETTER * len(f"{value:g}") / 2
        if across - half < free:
            continue
        free = across + half + LETTER
        parts.append(
            f'<text x="{across:.1f}" y="{height - BOTTOM + 17}" text-anchor="middle" opacity=".75">{value:g}</text>'
        )
    parts.append(
        f'<text x="{(edge + width - RIGHT) / 2:.0f}" y="{height - 5}" text-anchor="middle" opacity=".75">{escape(x)}</text>'
        f'<text x="14" y="{(TOP + height - BOTTOM) / 2:.0f}" text-anchor="middle" opacity=".75" '
        f'transform="rotate(-90 14 {(TOP + height - BOTTOM) / 2:.0f})">{escape(y)}</text>'
    )
    for line in lines:
        color = COLORS[names.index(line.name) % len(COLORS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in line.points)
        parts.append(
            f'<polyline fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round" points="{path}"/>'
        )
    if len(names) > 1:
        left, bottom = _emptiest(
            [place(point) for line in lines for point in line.points],
            size,
            34 + LETTER * max(map(len, names)),
            17 * len(names),
        )
        for row, name in enumerate(names):
            level = bottom - 17 * (len(names) - 1 - row)
            color = COLORS[row % len(COLORS)]
            parts.append(
                f'<line x1="{left}" x2="{left + 20}" y1="{level}" y2="{level}" stroke="{color}" stroke-width="3"/>'
                f'<text x="{left + 26}" y="{level + 4}">{escape(name)}</text>'
            )
    return "".join(parts) + "</svg>"


def _emptiest(points: list[tuple[float, float]], size: tuple[int, int], wide: int, tall: int) -> tuple[int, int]:
    """Left edge and lowest line of a legend, in the corner where the fewest points are."""
    width, height = size
    corners = [
        (left, bottom)
        for left in (width - RIGHT - wide, LEFT + 10)
        for bottom in (height - BOTTOM - 14, TOP + tall - 8)
    ]
    return min(
        corners,
        key=lambda corner: sum(
            corner[0] - 6 <= x <= corner[0] + wide and corner[1] - tall <= y <= corner[1] + 10 for x, y in points
        ),
    )


def png(lines: Sequence[Line], x: str, y: str, path: Path, logarithmic: bool = False) -> None:
    """The same as a file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scenes.io.atomic import atomic_write

    figure = Figure((8, 4), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(line.name for line in lines))
    for name in names:
        for index, line in enumerate(line for line in lines if line.name == name):
            points = _usable(line.points, logarithmic)
            axes.plot(
                [p[0] for p in points],
                [p[1] for p in points],
                color=COLORS[names.index(name) % len(COLORS)],
                label=name if index == 0 else None,
            )
    if logarithmic:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=y)
    if names:
        axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between the two: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between 10^low and 10^high."""
    values = [m * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    return [round(value, 12) for value in values if 10**low <= value * 1.001 and value <= 10**high * 1.001]


def _usable(points: Sequence[tuple[float, float]], logarithmic: bool) -> list[tuple[float, float]]:
    return [
        (float(a), float(b)) for a, b in points if math.isfinite(a) and math.isfinite(b) and (a > 0 or not logarithmic)
    ]


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    span = (high - low) or max(abs(high), 1.0) * 0.1
    return low - share * span, low + span * (1 + share)
