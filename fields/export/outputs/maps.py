"""Pictures of what a field tells besides its values: where its frequencies are, and how they change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fields.models.spectral import SpectralField
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write

ARROWS = 24  # along the longer side
# Of each map: what its scale says, its colours, and where they begin and end.
SCALES = {
    "frequency": ("cycles across the picture", "viridis", None, None),
    "orientation": ("degrees from x towards y", "hsv", 0.0, 180.0),
    "explained": ("explained by the transport", "viridis", 0.0, 1.0),
}
PIXELS = 512  # of the map along its longer side, at most


def draw_map(
    field, what: str, out: Path, width: int, height: int, window: tuple[float, float, float, float]
) -> tuple[int, int]:
    """Writes a PNG, `width` x `height` and beside it a scale: "frequency", the mean frequency of the field's waves in cycles across the picture,
    "flow", that with arrows which point to where the transport says that it rises, "orientation", the direction across the waves in degrees, pale where none
    leads, or "explained", the share of the state's changes that the transport explains. Returns the pixels of the file."""
    if not isinstance(field, SpectralField) or field.network.state is None:
        raise BadInput(f"`what={what}`: this field has no map of its frequencies; runs of the method nstr have")
    if what in ("flow", "explained") and field.state_changes is None:
        raise BadInput(
            f"--what {what}: this field was fitted without a transport; fit with --set transport=joint, observe or jet"
        )
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out}: maps are drawn as PNG; give `out` a name that ends in .png")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    x0, y0, x1, y1 = window
    shrink = max(1.0, max(width, height) / PIXELS)
    coords = _grid(max(2, round(width / shrink)), max(2, round(height / shrink)), window)
    device = next(field.parameters()).device
    asked = getattr(field, "frequency" if what == "flow" else what)
    values = torch.cat([asked(rows.to(device)).cpu() for rows in coords.split(16)]).numpy()
    clarity = None
    if what == "orientation":
        values, clarity = np.degrees(values[..., 0]), values[..., 1]
    label, colors, low, high = SCALES.get(what, SCALES["frequency"])
    dots = 100
    figure = Figure((width / dots * 1.18 + 0.6, height / dots), dpi=dots, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("white")
    shown = axes.imshow(values, cmap=colors, vmin=low, vmax=high, alpha=clarity, extent=(x0, x1, y1, y0), aspect="auto")
    figure.colorbar(shown, label=label)
    axes.set_axis_off()
    if what == "flow":
        step = max(width, height) / ARROWS
        places = _grid(max(2, round(width / step)), max(2, round(height / step)), window)
        arrows = field.flow(places.to(device)).cpu().numpy()
        lengths = np.linalg.norm(arrows, axis=-1)
        axes.quiver(
            places[..., 0],
            places[..., 1],
            arrows[..., 0],
            arrows[..., 1],
            color="white",
            angles="xy",
            scale=max(float(np.quantile(lengths, 0.95)), 1e-9) * ARROWS,
            width=0.003,
        )
    FigureCanvasAgg(figure)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format="png")
    return tuple(int(side) for side in figure.canvas.get_width_height())


def _grid(width: int, height: int, window: tuple[float, float, float, float]) -> torch.Tensor:
    """Coords `[height, width, 2]` of the middles of cells."""
    x0, y0, x1, y1 = window
    x = x0 + (torch.arange(width) + 0.5) / width * (x1 - x0)
    y = y0 + (torch.arange(height) + 0.5) / height * (y1 - y0)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
