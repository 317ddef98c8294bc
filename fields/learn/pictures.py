"""Pictures of the fields of a dataset: a query with the items most like it on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from fields.fit.objectives.shape import default_camera
from fields.render.sphere_trace import render_shape
from fields.render.surface_field import surface_field
from fields.weights.dataset import FieldDataset
from scenes.image.color import to_bytes
from scenes.io.atomic import atomic_write

# Side of a picture, and height of the line below it, in pixels.
SIDE, LINE = 160, 26


def picture(dataset: FieldDataset, index: int, side: int = SIDE) -> np.ndarray:
    """An item's surface from the default view, `[side, side, 3]` uint8."""
    fit = surface_field(dataset.field(index))
    shown = render_shape(fit.traceable(), default_camera(side), albedo=fit.colors, device=fit.device)
    return to_bytes(shown.color.cpu().numpy())


def write_sheet(path: Path, dataset: FieldDataset, query: int, found: Sequence[tuple[int, float]]) -> None:
    """Write a row of pictures: the query in a frame, then the items that were found, with their likeness."""
    columns = [(query, 1.0), *found]
    sheet = Pillow.new("RGB", (SIDE * len(columns), SIDE + LINE), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (index, likeness) in enumerate(columns):
        left = place * SIDE
        sheet.paste(Pillow.fromarray(picture(dataset, index)), (left, 0))
        item = dataset.items[index]
        text = f"{item.label or item.name}" + (f"  {likeness:.2f}" if place else "")
        draw.text((left + 6, SIDE + 6), text, fill="black")
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="black", width=2)
    with atomic_write(path) as temporary:
        sheet.save(temporary, format=Pillow.registered_extensions().get(path.suffix.lower(), "PNG"))
