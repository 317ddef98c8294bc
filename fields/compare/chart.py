"""Line charts: SVG for pages, in the colors of the page it stands in (light or dark), and PNG files."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors that most eyes tell apart, on white and on black.
COLORS = ("#d9733a", "#2f86ad", "#7f62c4", "#3c9a61", "#c4507a", "#9c8420", "#5a72e0", "#8d7263")
# Sizes of charts on a page: width and height in points, as all that follows.
WIDE = (720, 320)
NARROW = (420, 280)
SMALL = (300, 210)
# Points per inch, in which matplotlib gives sizes.
POINTS_PER_INCH = 72
FONT_SIZE = 12
# Width of a letter.
LETTER = 7
# Space around the axes: at the left without the labels' width, below, and at the other sides.
MARGIN_LEFT = 30
MARGIN_BOTTOM = 40
MARGIN = 14
# Size and resolution of a PNG, in inches and pixels per inch.
FILE_SIZE = (8, 4)
FILE_RESOLUTION = 110
# Color that stands for the page's own until the SVG is written.
TEXT = "#010203"


@dataclass(frozen=True)
class Line:
    """A line of a chart. Lines of one name share a color and a legend entry.

    `points`: (x, y) in rising order of x.
    """

    name: str
    points: Sequence[tuple[float, float]]


def svg(
    lines: Sequence[Line],
    x: str,
    y: str,
    *,
    logarithmic: bool = False,
    label: str = "",
    size: tuple[int, int] = WIDE,
) -> Markup:
    """An `<svg>` element that scales with the place it stands in; its text and axes have the page's text color.

    `x`, `y`: titles of the axes. `logarithmic`: whether the x axis is. `label`: description for those who do not see
    the chart, by default made from the titles. `size`: width and height in points. Returns an empty text where there is
    nothing to draw.
    """
    shown = tuple((line.name, usable) for line in lines if (usable := _usable(line.points, logarithmic)))
    return _svg(shown, x, y, logarithmic, label or f"{y} against {x}", size) if shown else Markup("")


def png(lines: Sequence[Line], x: str, y: str, path: Path, *, logarithmic: bool = False) -> None:
    """Write the same chart as a PNG file, black on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scenes.io.atomic import atomic_write

    figure = Figure(FILE_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    shown = tuple((line.name, usable) for line in lines if (usable := _usable(line.points, logarithmic)))
    _draw(figure.subplots(), shown, x, y, logarithmic)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=FILE_RESOLUTION, format="png")


Points = tuple[tuple[float, float], ...]


# A page that is updated asks for the same chart again and again.
@lru_cache(64)
def _svg(
    lines: tuple[tuple[str, Points], ...], x: str, y: str, logarithmic: bool, label: str, size: tuple[int, int]
) -> Markup:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    content = io.StringIO()
    with rc_context({"svg.fonttype": "none", "font.size": FONT_SIZE}):
        figure = Figure((size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH))
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        _draw(axes, lines, x, y, logarithmic, text=TEXT)
        _place(axes, size)
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _embedded(content.getvalue(), label)


def _draw(
    axes: Axes, lines: tuple[tuple[str, Points], ...], x: str, y: str, logarithmic: bool, text: str = "black"
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    names = list(dict.fromkeys(name for name, _ in lines))
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for index, (name, points) in enumerate(lines):
        first = all(other != name for other, _ in lines[:index])
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            color=COLORS[names.index(name) % len(COLORS)],
            linewidth=2,
            # A line of one point would not be seen.
            marker="o" if len(points) == 1 else None,
            clip_on=False,
            label=name if first else None,
        )
    axes.set_xlabel(x, color=text)
    axes.set_ylabel(y, color=text)
    axes.margins(x=0)
    axes.tick_params(length=0, labelcolor=text)
    axes.grid(axis="y", color=text, alpha=0.13, clip_on=False)
    axes.spines[:].set_visible(False)
    if len(names) > 1:
        axes.legend(frameon=False, labelcolor=text)


def _place(axes: Axes, size: tuple[int, int]) -> None:
    """Leave room for the labels of the y axis. Several times as fast as matplotlib's own layouts, for live charts."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    labels = axes.yaxis.get_major_formatter().format_ticks(ticks)
    left = MARGIN_LEFT + LETTER * max(map(len, labels), default=0)
    width, height = size
    axes.set_position(
        (
            left / width,
            MARGIN_BOTTOM / height,
            (width - left - MARGIN) / width,
            (height - MARGIN_BOTTOM - MARGIN) / height,
        )
    )


def _embedded(content: str, label: str) -> Markup:
    """The SVG of matplotlib as an element of an HTML page, in the page's font and color."""
    drawn = ElementTree.fromstring(content)
    for element in drawn.iter():
        element.tag = element.tag.partition("}")[2]
        for name in list(element.attrib):
            plain = name.partition("}")[2]
            if plain:  # (xlink:href; pages know it as href)
                element.set(plain, element.attrib.pop(name))
        if element.tag == "g":
            element.attrib.pop("id", None)
        style = element.get("style")
        if style:
            element.set("style", _page_style(style))
    for child in list(drawn):
        # The style would hold for the whole page; what it says stands in the root's attributes.
        if child.tag == "metadata" or (child.tag == "defs" and child.find("style") is not None):
            drawn.remove(child)
    box = drawn.get("viewBox", "")
    drawn.attrib.clear()
    drawn.attrib.update(
        {
            "class": "chart",
            "viewBox": box,
            "role": "img",
            "aria-label": label,
            "fill": "currentColor",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
            "font-size": str(FONT_SIZE),
        }
    )
    return Markup(ElementTree.tostring(drawn, encoding="unicode"))


def _page_style(style: str) -> str:
    parts = (part.strip() for part in style.split(";"))
    kept = [part for part in parts if part and not part.startswith("font")]
    return "; ".join(kept).replace(TEXT, "currentColor")


def _usable(points: Sequence[tuple[float, float]], logarithmic: bool) -> Points:
    return tuple(
        (float(a), float(b)) for a, b in points if math.isfinite(a) and math.isfinite(b) and (a > 0 or not logarithmic)
    )
