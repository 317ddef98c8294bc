"""Maps of the frequencies of a spectral field: how high they are, where they rise, and in which direction waves run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fields.models.field import Field
from fields.models.spectral import SpectralField
from fields.render.raster import Window, sample_centers
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Longest side of a map in pixels; in a larger image it is interpolated.
MAX_SIDE = 512
# Rows of a map that are evaluated at once.
ROWS_AT_ONCE = 16
# Arrows along the longer side of a map of the flow.
ARROWS = 24
# Quantile of the lengths of arrows that fits in their distance from each other.
ARROW_QUANTILE = 0.95
# Pixels per inch of the drawing, and what the scale beside the map adds to the width: a factor, and inches.
PIXELS_PER_INCH = 100
SCALE_FACTOR = 1.18
SCALE_INCHES = 0.6


@dataclass(frozen=True)
class Map:
    """How a map is drawn: the label of its color scale, matplotlib's name of the colors, and the ends of the scale."""

    label: str
    colors: str
    lowest: float | None = None
    highest: float | None = None


FREQUENCY = Map("cycles across the image", "viridis")
# Values of the option `what`.
MAPS = {
    "frequency": FREQUENCY,
    "flow": FREQUENCY,
    "orientation": Map("degrees from x towards y", "hsv", 0.0, 180.0),
    "explained": Map("explained by the transport", "viridis", 0.0, 1.0),
}
# Maps that need a transport.
OF_TRANSPORT = ("flow", "explained")


@torch.no_grad()
def draw_map(field: Field, what: str, out: Path, *, width: int, height: int, window: Window) -> tuple[int, int]:
    """Write a map as a PNG file with a color scale beside it, and return the file's width and height in pixels.

    what: "frequency": mean frequency of the field's waves, in cycles across the image.
        "flow": the same, with arrows that point to where the transport says that the frequency rises.
        "orientation": direction across the waves in degrees, pale where no direction prevails.
        "explained": fraction of the changes of the state that the transport explains.
    width, height: size of the map without its scale, in pixels.
    window: the part of the domain that is shown.

    Raises BadInput for a field without such a map, and for other endings than .png.
    """
    if not isinstance(field, SpectralField) or field.network.state is None:
        raise BadInput(f"`what={what}`: this field has no map of its frequencies; runs of the method nstr have")
    if what in OF_TRANSPORT and field.state_changes is None:
        raise BadInput(
            f"`what={what}`: this field was fitted without a transport; fit with `transport=joint`, observe or jet"
        )
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out}: maps are drawn as PNG; give `out` a name that ends in .png")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = MAPS[what]
    values, opacity = _map_values(field, what, width, height, window)
    size = width / PIXELS_PER_INCH * SCALE_FACTOR + SCALE_INCHES, height / PIXELS_PER_INCH
    figure = Figure(size, dpi=PIXELS_PER_INCH, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Axes = figure.subplots()
    axes.set_facecolor("white")
    x0, y0, x1, y1 = window
    image = axes.imshow(
        values,
        cmap=shown.colors,
        vmin=shown.lowest,
        vmax=shown.highest,
        alpha=opacity,
        extent=(x0, x1, y1, y0),
        aspect="auto",
    )
    figure.colorbar(image, label=shown.label)
    axes.set_axis_off()
    if what == "flow":
        _draw_arrows(axes, field, width, height, window)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format="png")
    map_width, map_height = canvas.get_width_height()
    return int(map_width), int(map_height)


def _map_values(field: SpectralField, what: str, width: int, height: int, window: Window) -> tuple[np.ndarray, Any]:
    """Values of a map `[h, w]`, and their opacity `[h, w]` or None."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "frequency": field.frequency,
        "flow": field.frequency,
        "orientation": field.orientation,
        "explained": field.explained,
    }
    shrink = max(1.0, max(width, height) / MAX_SIDE)
    coords = _grid(width / shrink, height / shrink, window)
    parts = [functions[what](rows.to(field.device)).cpu() for rows in coords.split(ROWS_AT_ONCE)]
    values = torch.cat(parts).numpy()
    if what == "orientation":
        return np.degrees(values[..., 0]), values[..., 1]
    return values, None


def _draw_arrows(axes: Axes, field: SpectralField, width: int, height: int, window: Window) -> None:
    step = max(width, height) / ARROWS
    coords = _grid(width / step, height / step, window)
    arrows = field.flow(coords.to(field.device)).cpu().numpy()
    longest = float(np.quantile(np.linalg.norm(arrows, axis=-1), ARROW_QUANTILE))
    axes.quiver(
        *coords.unbind(-1),
        *np.moveaxis(arrows, -1, 0),
        color="white",
        angles="xy",
        scale=max(longest, 1e-9) * ARROWS,
        width=0.003,
    )


def _grid(width: float, height: float, window: Window) -> Tensor:
    """Coords `[h, w, 2]` of the centers of about `width` x `height` cells, at least two along each side."""
    x0, y0, x1, y1 = window
    x = sample_centers(max(2, round(width)), x0, x1)
    y = sample_centers(max(2, round(height)), y0, y1)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
